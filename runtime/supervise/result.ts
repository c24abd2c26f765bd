import type { Ending } from "../../ffi/process.ts";
import type { ForbiddenCall } from "./forbidden_calls.ts";
import { signalName, SIGNALS } from "./signals.ts";

/** How the program of a sandbox ended. */
export type Exit =
  | { readonly kind: "code"; readonly code: number }
  | { readonly kind: "signal"; readonly signal: string }
  | { readonly kind: "limit"; readonly limit: Limit };

/** A limit that can end a run: the timeout, the host's memory, RLIMIT_CPU, RLIMIT_FSIZE. */
export type Limit = "time" | "memory" | "cpu" | "fileSize";

/** What is known of a run when it is over. */
export interface Result {
  /** Name of the sandbox. */
  readonly id: string;
  /** How the program ended. */
  readonly exit: Exit;
  /** As a shell says it: the code, 128 + the number of the signal, 124 when the time was up. */
  readonly exitCode: number;
  /** From the start of the program to its end. */
  readonly wallMs: number;
  /** CPU time of the program and of those children that it waited for. */
  readonly cpuUserMs: number;
  /** CPU time that the kernel spent on them. */
  readonly cpuSystemMs: number;
  /** The most memory that one process of these had resident. */
  readonly peakMemoryBytes: number;
  /** Whether the kernel killed the program for want of memory; `null` if this user cannot know. */
  readonly oomKilled: boolean | null;
  /** Whether the timeout ended it. */
  readonly timedOut: boolean;
  /** The system call that the sandbox was killed for, if its policy does so. */
  readonly forbiddenCall?: ForbiddenCall;
  /** What happened at its limits, if it had any. */
  readonly events?: LimitEvents;
  /** When the program started (RFC 3339, UTC). */
  readonly startedAt: string;
  /** When the program ended (RFC 3339, UTC). */
  readonly endedAt: string;
  /** What kept it in its place, if it had no namespaces. */
  readonly isolation?: "landlock";
}

/** What the kernel counted at the limits of a sandbox with a cgroup; what it does not count is missing. */
export interface LimitEvents {
  /** Processes that were killed for want of memory. */
  readonly oomKills?: number;
  /** How often memory was at its limit, so that some had to be taken back or somebody killed. */
  readonly memoryLimitHits?: number;
  /** How often a process or thread was refused. */
  readonly pidsLimitHits?: number;
  /** How long the quota kept its tasks from running, all added up. */
  readonly cpuThrottledMs?: number;
  /** How long some of its tasks, or all at once, waited for a CPU, for memory, for disks (PSI, cgroup v2). */
  readonly pressure?: Pressure;
}

/** Time that tasks waited, by what for. */
export type Pressure = Readonly<
  Record<"cpu" | "memory" | "io", { readonly someMs: number; readonly fullMs: number }>
>;

/** The figures of a cgroup that a record takes. */
export interface Usage {
  readonly oomKills?: number | undefined;
  readonly memoryLimitHits?: number | undefined;
  readonly pidsLimitHits?: number | undefined;
  readonly cpuThrottledMs?: number | undefined;
  readonly pressure?: Pressure | undefined;
  readonly cpuUserMs?: number | undefined;
  readonly cpuSystemMs?: number | undefined;
  readonly memoryPeakBytes?: number | undefined;
}

/** What the supervisor did to a run, beside watching it. */
export interface Circumstances {
  /** Name of the sandbox. */
  readonly id: string;
  /** `performance.now()` and the clock at the start and the end. */
  readonly startedMs: number;
  readonly endedMs: number;
  readonly startedAt: Date;
  /** Whether the timeout ended it. */
  readonly timedOut: boolean;
  /** As in {@linkcode Result}. */
  readonly oomKilled: boolean | null;
  /** What its cgroup counted, if it had one: of all its processes, not only those that were waited for. */
  readonly usage?: Usage | undefined;
  /** The signal that init would have died of, had it not been pid 1. */
  readonly deliveredSignal?: number | undefined;
  /** As in {@linkcode Result}. */
  readonly forbiddenCall?: ForbiddenCall | undefined;
  /** Whether it had no namespaces. */
  readonly bare?: boolean;
}

/** Signals by which the kernel says that a resource limit is used up (setrlimit(2)). */
const LIMIT_SIGNALS = new Map<number, Limit>([[SIGNALS.SIGXCPU, "cpu"], [SIGNALS.SIGXFSZ, "fileSize"]]);

/** The record of a run from the end of its init. */
export function result(ending: Ending, facts: Circumstances): Result {
  const { id, timedOut, oomKilled, usage } = facts;
  const signal = ending.signal === SIGNALS.SIGKILL ? facts.deliveredSignal ?? ending.signal : ending.signal;
  const wallMs = facts.endedMs - facts.startedMs;
  const limit = timedOut ? "time" : oomKilled ? "memory" : LIMIT_SIGNALS.get(signal ?? 0);
  const exit: Exit = limit !== undefined
    ? { kind: "limit", limit }
    : signal !== undefined
    ? { kind: "signal", signal: signalName(signal) }
    : { kind: "code", code: ending.code ?? 0 };
  return {
    id,
    exit,
    exitCode: timedOut ? 124 : signal !== undefined ? 128 + signal : ending.code ?? 0,
    wallMs: round(wallMs),
    cpuUserMs: round(usage?.cpuUserMs ?? ending.userMs),
    cpuSystemMs: round(usage?.cpuSystemMs ?? ending.systemMs),
    peakMemoryBytes: usage?.memoryPeakBytes ?? ending.peakMemoryBytes,
    oomKilled,
    timedOut,
    ...(facts.forbiddenCall && { forbiddenCall: facts.forbiddenCall }),
    ...(usage && { events: events(usage) }),
    startedAt: facts.startedAt.toISOString(),
    endedAt: new Date(facts.startedAt.getTime() + wallMs).toISOString(),
    ...(facts.bare && { isolation: "landlock" }),
  };
}

function events({ oomKills, memoryLimitHits, pidsLimitHits, cpuThrottledMs, pressure }: Usage): LimitEvents {
  const throttled = cpuThrottledMs === undefined ? undefined : round(cpuThrottledMs);
  const counted = { oomKills, memoryLimitHits, pidsLimitHits, cpuThrottledMs: throttled, pressure };
  return Object.fromEntries(Object.entries(counted).filter(([, value]) => value !== undefined));
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
