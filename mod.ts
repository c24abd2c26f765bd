/**
 * ai-sandbox: runs untrusted programs on one Linux host, each in a sandbox of its own.
 *
 * @example
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { Sandbox } from "./mod.ts";
 * await using sandbox = await Sandbox.run({ command: ["echo", "hello"] });
 * equal(await new Response(sandbox.stdout).text(), "hello\n");
 * ```
 *
 * @module
 */
export { Sandbox } from "./runtime/sandbox.ts";
export type { Terminal } from "./runtime/supervise/terminal_streams.ts";
export type { StdioChoice } from "./runtime/supervise/ends.ts";
export { type IoMax, NOT_APART, type SandboxOptions, type UntrustedOptions } from "./runtime/options.ts";
export type { AllowedBind, Ceiling } from "./runtime/untrusted/ceiling.ts";
export { type Cut, cutLine } from "./runtime/untrusted/rule.ts";
export type { Exit, Limit, LimitEvents, Pressure, Result } from "./runtime/supervise/result.ts";
export { type Bundle, loadBundle, type OverlayChoice } from "./runtime/bundle.ts";
export { readOverlay } from "./runtime/overlay_choice.ts";
export { readSize } from "./runtime/size.ts";
export { isShareable } from "./runtime/command.ts";
export { compile } from "./runtime/compile.ts";
export { type WholeFileOptions, writeWholeFile } from "./runtime/whole_file.ts";
export { diffPlans, type PlanDifference, planOf, type PlanText } from "./runtime/plans.ts";
export { diagnose, type Diagnosis } from "./runtime/doctor.ts";
export type { Answer, Row as DoctorRow } from "./runtime/doctor/row.ts";
export { features } from "./runtime/features.ts";
export type * from "./runtime/spec/features.ts";
export { isPolicyName, POLICY_NAMES, type PolicyName } from "./runtime/policy/names.ts";
export { readPolicy } from "./runtime/policy/read.ts";
export { differences, exceptionText, outcomeText, type PolicyDifference } from "./runtime/policy/compare.ts";
export { type Outcome, type Outcomes, outcomes } from "./runtime/policy/calls.ts";
export type * from "./runtime/policy/policy.ts";
export type { ForbiddenCall } from "./runtime/supervise/forbidden_calls.ts";
export {
  learn,
  type LearnOptions,
  type Lesson,
  prove,
  type RunToEnd,
  writtenPolicy,
} from "./runtime/learn.ts";
export { BUILD_ID } from "./runtime/build_id.ts";
export { type StarterOptions, starterSpec } from "./runtime/starter_spec.ts";
export {
  AttestationError,
  type Difference,
  type Issue,
  LearnError,
  LifecycleError,
  SpecError,
  UnsupportedError,
  UsageError,
} from "./runtime/errors.ts";
export { LaunchError, SyscallError } from "./runtime/launch/launch_error.ts";
export type { StepWords } from "./runtime/launch/image.ts";
export type { FormattedStep } from "./runtime/plan/format.ts";
export type { Call } from "./runtime/plan/op.ts";
export type { Syscall, SYSCALLS } from "./runtime/plan/abi.ts";
export { FORWARDED, signalNumber } from "./runtime/supervise/signals.ts";
export { type Adopted, AdoptedSandbox } from "./runtime/adopt.ts";
export { isTerminal, rawMode, type TerminalSize, terminalSize } from "./runtime/supervise/terminal.ts";
export type * from "./runtime/spec/config.ts";
export { isCapability } from "./runtime/spec/words.ts";
export { checkId } from "./runtime/state/container_id.ts";
export type { ChoiceOptions, StoreOptions } from "./runtime/lifecycle/container.ts";
export { Container } from "./runtime/lifecycle/handle.ts";
export { createContainer, type CreateOptions } from "./runtime/lifecycle/create.ts";
export type { OnStep } from "./runtime/lifecycle/told.ts";
export { AdoptedContainer, type AdoptedContainerOptions } from "./runtime/lifecycle/adopted.ts";
export { AttachedContainer, type AttachOptions, runContainer } from "./runtime/lifecycle/run.ts";
export { isInherited } from "./runtime/inheritance.ts";
export { HookError } from "./runtime/launch/hook_error.ts";
export { nameProcess } from "./runtime/state/liveness.ts";
export type { ProcessName } from "./runtime/state/record.ts";
export { startContainer, type StartOptions } from "./runtime/lifecycle/start.ts";
export {
  execContainer,
  type ExecContainerOptions,
  execDetached,
  type ExecDetachedOptions,
  type ExecOptions,
} from "./runtime/lifecycle/exec.ts";
export { expectToJoin } from "./runtime/exec/expect.ts";
export type { Execution } from "./runtime/exec/execution.ts";
export type { SandboxExecOptions } from "./runtime/exec/sandbox.ts";
export type { ProcessOptions } from "./runtime/exec/process.ts";
export {
  type ContainerList,
  type ContainerState,
  containerState,
  listContainers,
  stateText,
} from "./runtime/lifecycle/state.ts";
export { killContainer, type KillOptions } from "./runtime/lifecycle/kill.ts";
export { pauseContainer, resumeContainer } from "./runtime/lifecycle/pause.ts";
export { updateContainer, type UpdateOptions } from "./runtime/lifecycle/update.ts";
export {
  type ContainerEvent,
  containerEvents,
  containerStats,
  type EventOptions,
} from "./runtime/lifecycle/events.ts";
export type {
  BlockIoCount,
  ContainerStats,
  Count,
  MemoryUsage,
  PressureStats,
  Stalls,
} from "./runtime/cgroup/container_stats.ts";
export type { CacheClass } from "./runtime/lifecycle/resource_director.ts";
export { exactJson } from "./runtime/spec/exact_json.ts";
export { parseResources } from "./runtime/spec/resources.ts";
export { containerProcesses } from "./runtime/lifecycle/processes.ts";
export { deleteContainer, type DeleteOptions } from "./runtime/lifecycle/delete.ts";
export type { State, StateStatus, STATUSES } from "./runtime/spec/state.ts";
export { checkpointContainer } from "./snapshots/checkpoint.ts";
export type { CheckpointOptions } from "./snapshots/checkpoint_options.ts";
export { restoreContainer } from "./snapshots/restore.ts";
export type { RestoredContainer, Rung } from "./snapshots/restored_container.ts";
export type { RestoreOptions } from "./snapshots/restore_options.ts";
export type { CriuOptions } from "./snapshots/options.ts";
export type { ForkPages, LazyOption } from "./snapshots/pager/option.ts";
export { forkContainers, type ForkOptions, type ForkOutcome } from "./snapshots/fork.ts";
export { Fork } from "./snapshots/forked.ts";
export { type ForkOrigin, readOrigin } from "./snapshots/fork_source.ts";
export type { ForkMark } from "./snapshots/fork_mark.ts";
export { createSnapshot, type CreateSnapshotOptions } from "./snapshots/store/create.ts";
export {
  findSnapshot,
  listSnapshots,
  type PruneOptions,
  pruneSnapshots,
  removeSnapshot,
  tagSnapshot,
  untagSnapshot,
  verifySnapshot,
} from "./snapshots/store/manage.ts";
export {
  type Condition,
  type ExplainOptions,
  explainSnapshot,
  type Explanation,
} from "./snapshots/store/explain.ts";
export { diffSnapshots, type FileDifference, type SnapshotDifference } from "./snapshots/store/diff.ts";
export type { MemoryDifference } from "./snapshots/store/pages.ts";
export { exportSnapshot, type ImportOptions, importSnapshot } from "./snapshots/store/archive.ts";
export { restoreSnapshot, type RestoreSnapshotOptions } from "./snapshots/store/restore.ts";
export { rewindContainer } from "./snapshots/store/rewind.ts";
export type { ForkableSnapshot } from "./snapshots/store/forkable.ts";
export type { Snapshot, SnapshotList, SnapshotStoreOptions } from "./snapshots/store/store.ts";
export type { SnapshotRecord, SnapshotSizes } from "./snapshots/store/record.ts";
export { Pool, type PoolOptions } from "./snapshots/pool.ts";
export { serveNetwork } from "./network/proxy/serve.ts";
export {
  annotatedPolicy,
  decodeNetworkPolicy,
  NETWORK_POLICY_ANNOTATION,
  parseNetworkPolicy,
  withAllowed,
} from "./network/policy/read.ts";
export { loadNetworkPolicy } from "./network/policy/load.ts";
export { type Trial, type TrialOptions, tryUrl } from "./network/policy/trial.ts";
export type {
  Credential,
  Destination,
  NetworkLimits,
  NetworkPolicy,
  NetworkRule,
  PortRange,
  Protocol,
  PROTOCOLS,
  SecretRules,
  Verdict,
} from "./network/policy/policy.ts";
export { auditLogPath } from "./network/audit/path.ts";
export { type AuditVerification, readAudit, verifyAudit } from "./network/audit/read.ts";
export { followAudit, type FollowOptions } from "./network/audit/follow.ts";
export type { AUDIT_KINDS, AuditEntry, AuditKind, AuditRecord } from "./network/audit/record.ts";
export { updateNetworkPolicy } from "./network/update.ts";
export { useNetworks } from "./network/wire.ts";
export { type NetworkOptions, readNetworkMode } from "./runtime/network.ts";
