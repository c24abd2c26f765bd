/** The OCI runtime specification 1.3, config.json: what a bundle asks for. The Linux part is in linux.ts. */

import type { Linux } from "./linux.ts";
import type {
  CapabilitySet,
  HookName,
  IoPriorityClass,
  RlimitType,
  SchedulerFlag,
  SchedulerPolicy,
} from "./words.ts";

export type * from "./linux.ts";
export * from "./words.ts";

/** A 64-bit integer: a number where that is exact, a bigint beyond 2^53. */
export type Int64 = number | bigint;

/** A map whose keys the bundle chose. A decoded one has no prototype: `map["constructor"]` is undefined. */
export type StringMap<T> = { readonly [key: string]: T };

/** A whole config.json; properties unknown to the specification are not in it. */
export interface Spec {
  readonly ociVersion: string;
  readonly root: Root;
  readonly mounts?: readonly Mount[];
  /** Needed by the time the sandbox is started. */
  readonly process?: Process;
  readonly hostname?: string;
  readonly domainname?: string;
  readonly hooks?: Hooks;
  readonly annotations?: StringMap<string>;
  readonly linux?: Linux;
}

/** The root filesystem. */
export interface Root {
  /** Absolute, or relative to the bundle. */
  readonly path: string;
  readonly readonly?: boolean;
}

/** A filesystem to mount inside the sandbox. */
export interface Mount {
  /** Path inside the sandbox; a relative one starts at `/`. */
  readonly destination: string;
  /** A path (relative to the bundle) for a bind mount, else a device or a dummy. */
  readonly source?: string;
  readonly type?: string;
  readonly options?: readonly string[];
  readonly uidMappings?: readonly IdMapping[];
  readonly gidMappings?: readonly IdMapping[];
}

/** A range of ids in a user namespace and where it begins outside. */
export interface IdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

/** The program to run and what it may do. */
export interface Process {
  readonly terminal?: boolean;
  /** Meaningless unless `terminal` is true. */
  readonly consoleSize?: ConsoleSize;
  readonly cwd: string;
  readonly env?: readonly string[];
  readonly args: readonly string[];
  /** Root (0:0) where it is missing, as in runc. */
  readonly user?: User;
  readonly rlimits?: readonly Rlimit[];
  readonly apparmorProfile?: string;
  readonly capabilities?: Capabilities;
  readonly noNewPrivileges?: boolean;
  readonly oomScoreAdj?: number;
  readonly scheduler?: Scheduler;
  readonly selinuxLabel?: string;
  readonly ioPriority?: IoPriority;
  readonly execCPUAffinity?: ExecCpuAffinity;
}

/** Size of the terminal, in characters. */
export interface ConsoleSize {
  readonly height: Int64;
  readonly width: Int64;
}

/** The identity of the process, in ids of the sandbox. */
export interface User {
  readonly uid: number;
  readonly gid: number;
  readonly umask?: number;
  readonly additionalGids?: readonly number[];
}

/** A resource limit of setrlimit(2). */
export interface Rlimit {
  readonly type: RlimitType;
  readonly soft: Int64;
  readonly hard: Int64;
}

/** Capability names, such as `CAP_CHOWN`, by set. */
export type Capabilities = { readonly [set in CapabilitySet]?: readonly string[] };

/** Arguments of sched_setattr(2); times are in nanoseconds. */
export interface Scheduler {
  readonly policy: SchedulerPolicy;
  readonly nice?: number;
  readonly priority?: number;
  readonly flags?: readonly SchedulerFlag[];
  readonly runtime?: Int64;
  readonly deadline?: Int64;
  readonly period?: Int64;
}

/** Arguments of ioprio_set(2). */
export interface IoPriority {
  readonly class: IoPriorityClass;
  /** From 0 (highest, and the default) to 7. */
  readonly priority?: number;
}

/** CPU lists such as `0-3,7` for a process that joins the sandbox. */
export interface ExecCpuAffinity {
  /** Before it enters the cgroup. */
  readonly initial?: string;
  /** Afterwards. */
  readonly final?: string;
}

/** Programs to run on the way, by the moment. */
export type Hooks = { readonly [name in HookName]?: readonly Hook[] };

/** A program to run at some moment of a sandbox's life, with its state on stdin. */
export interface Hook {
  readonly path: string;
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  /** Seconds until it is aborted. */
  readonly timeout?: number;
}
