import { resolveSyscall } from "../ffi/seccomp.ts";
import { LearnError, UsageError } from "./errors.ts";
import { probeHost, probeLandlock } from "./host/probe.ts";
import { beyond, bothNeeds, type Needs, noNeeds } from "./learn/needs.ts";
import { needsOf, policyFor, usesInternet } from "./learn/policy_for.ts";
import { Recorder } from "./learn/recorder.ts";
import { LaunchError } from "./launch/launch_error.ts";
import { OBSERVE, type ObservedOptions, type SandboxOptions } from "./options.ts";
import { SINCE } from "./plan/landlock.ts";
import { builtinPolicy } from "./policy/builtin.ts";
import type { PolicyName } from "./policy/names.ts";
import type { Policy } from "./policy/policy.ts";
import { policyOf } from "./policy/load.ts";
import { Sandbox } from "./sandbox.ts";
import type { Result } from "./supervise/result.ts";

/** What to learn from, and how. */
export interface LearnOptions extends Omit<SandboxOptions, "policy"> {
  /** The most that can be learned; it is in force meanwhile. @default {"default"} */
  readonly base?: PolicyName;
  /** What was learned from other runs. */
  readonly from?: readonly Policy[];
  /** System calls that the base refuses and that are to be allowed. */
  readonly allowRefused?: readonly string[];
  /** Name of the policy. @default {"learned"} */
  readonly name?: string;
  /** Where it comes from, for its reasons. @default the command and the date */
  readonly origin?: string;
}

/** Runs a sandbox to its end; the options are to be passed on as they are. */
export type RunToEnd = (options: SandboxOptions) => Promise<Result>;

/** What a run has taught. */
export interface Lesson {
  /** The smallest policy that the run needs, with what came from earlier ones. */
  readonly policy: Policy;
  /** How the run ended. */
  readonly result: Result;
  /** How often which call was refused, and stays so. */
  readonly refused: ReadonlyMap<string, number>;
  /** What no earlier run had needed, such as `call mkdir`; nothing without earlier runs. */
  readonly added: readonly string[] | undefined;
  /** Parts that are left out of the policy, with the reason: every use stays allowed. */
  readonly left: readonly string[];
}

/**
 * Runs a program and writes down what it uses: the smallest policy that it needs, within `base`. Nothing beyond the base
 * is possible meanwhile: every call is decided on by the base's filters.
 *
 * @param run What runs the sandbox; without it the program has no input, and its output goes nowhere.
 * @throws {LearnError} if the base kills the program.
 * @throws as {@linkcode Sandbox.run} does.
 *
 * @example
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { learn, prove } from "../mod.ts";
 * const options = { command: ["cat", "/etc/hosts"] };
 * const lesson = await learn(options);
 * equal(lesson.policy.files?.read.includes("/etc/hosts"), true);
 * await prove(lesson, options);
 * ```
 */
export async function learn(options: LearnOptions, run: RunToEnd = runSilently): Promise<Lesson> {
  const { base: baseName = "default", from = [], allowRefused = [], name = "learned", origin, ...rest } =
    options;
  const base = widened(builtinPolicy(baseName), allowRefused);
  const recorder = new Recorder(base, probeHost());
  const result = await run(observed(rest, base, recorder));
  if (result.forbiddenCall) {
    const { syscall } = result.forbiddenCall;
    throw new LearnError(
      `Cannot learn from this run: ${base.name} killed it for ${syscall}; take another --base, or --allow-refused ${syscall}`,
    );
  }
  if (recorder.isFull) {
    throw new LearnError("Cannot learn from this run: it uses too many files to name them");
  }
  const known = from.map(needsOf).reduce(bothNeeds, noNeeds());
  const needs = bothNeeds(known, recorder.needs);
  const { names, left } = namesOf(needs, from);
  const how = { name, origin: originsOf(origin ?? originOf(options), from), names };
  const make = (needs: Needs): Policy => policyOf(writtenPolicy(policyFor(needs, base, how)), name);
  return {
    policy: make(needs),
    result,
    refused: recorder.refused,
    added: from.length > 0 ? beyond(recorder.needs, make(known)) : undefined,
    left,
  };
}

/**
 * Runs the program again under what was learned.
 *
 * @param options As they were given to {@linkcode learn}.
 * @throws {LearnError} if it ends differently, with the names of what was missing.
 */
export async function prove(
  { policy, result: before }: Pick<Lesson, "policy" | "result">,
  options: LearnOptions,
  run: RunToEnd = runSilently,
): Promise<void> {
  const { base: _base, from: _from, allowRefused: _allow, name: _name, origin: _origin, ...rest } = options;
  const after = await run({ ...rest, policy }).then(ending, (error) => {
    if (error instanceof LaunchError) return `before it began (${error.message})`;
    throw error;
  });
  if (after === ending(before)) return;
  const recorder = new Recorder(policy, probeHost());
  await run(observed(rest, policy, recorder)).catch(() => {}); // as it has before
  const refused = [...recorder.refused.keys()].map((call) => `call ${call}`);
  const missing = [...refused, ...beyond(recorder.needs, policy)];
  const why = missing.length > 0
    ? `it wants what it did not use before: ${missing.join(", ")}`
    : "nothing that it asks for is missing: it may end differently each time";
  throw new LearnError(
    `Cannot prove policy "${policy.name}": the program ended ${after} under it, ${
      ending(before)
    } before; ${why}`,
  );
}

/** A policy as it is written to a file: the numbers of its conditions in hexadecimal. */
export function writtenPolicy(policy: Policy): unknown {
  const hex = (_: string, value: unknown): unknown =>
    typeof value === "bigint" ? `0x${value.toString(16)}` : value;
  return JSON.parse(JSON.stringify(policy, hex));
}

function observed(options: SandboxOptions, policy: Policy, { observe }: Recorder): ObservedOptions {
  return { ...options, policy, [OBSERVE]: observe };
}

function widened(base: Policy, calls: readonly string[]): Policy {
  if (calls.length === 0) return base;
  const unknown = calls.find((call) => resolveSyscall(call, 0) === -1);
  if (unknown !== undefined) throw new UsageError(`Cannot allow "${unknown}": there is no such system call`);
  const group = { name: "asked for", action: "allow", reason: "by --allow-refused", calls } as const;
  return { ...base, seccomp: { ...base.seccomp, groups: [...base.seccomp.groups, group] } };
}

/** Which parts this kernel can keep and no earlier policy leaves open, and why others are left out. */
function namesOf(
  needs: Needs,
  from: readonly Policy[],
): { names: { files: boolean; ports: boolean }; left: string[] } {
  const abi = probeLandlock() ?? 0;
  const left: string[] = [];
  const decide = (what: "files" | "ports", version: number, isOpen: boolean): boolean => {
    if (abi < version) {
      left.push(`${what}: it takes version ${version} of Landlock's interface, and this kernel has ${abi}`);
    } else if (isOpen) left.push(`${what}: a policy that was learned before names none`);
    return abi >= version && !isOpen;
  };
  const files = decide("files", SINCE.write, from.some((each) => !each.files));
  const open = from.some((each) => !each.ports && usesInternet(needsOf(each)));
  const ports = usesInternet(needs) && decide("ports", SINCE.net, open);
  return { names: { files, ports }, left };
}

function originOf({ command, bundle }: LearnOptions): string {
  const what = command?.join(" ") ?? (typeof bundle === "string" ? bundle : bundle?.path);
  return `${JSON.stringify(what)} on ${new Date().toISOString().slice(0, 10)}`;
}

/** Where a policy comes from, with what earlier ones say of themselves. */
function originsOf(own: string, from: readonly Policy[]): string {
  const earlier = from.flatMap(({ description }) =>
    /learned from (.+)\.$/s.exec(description)?.[1]?.split(AND) ?? []
  );
  return [...new Set([own, ...earlier])].join(AND);
}

const AND = " and from ";

function ending({ exit }: Result): string {
  switch (exit.kind) {
    case "code":
      return `with ${exit.code}`;
    case "signal":
      return `by ${exit.signal}`;
    case "limit":
      return `by its limit of ${exit.limit}`;
    default:
      return exit satisfies never;
  }
}

async function runSilently(options: SandboxOptions): Promise<Result> {
  await using sandbox = await Sandbox.run({ ...options, stdin: "null", stdout: "null", stderr: "null" });
  return await sandbox.wait();
}
