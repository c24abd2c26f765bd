import { type Pressure, readPressure } from "./_pressure.ts";
import { read, tree } from "./_tree.ts";

/** What a group has used; `undefined` where no mounted hierarchy counts it. */
export interface CgroupStats {
  readonly cpuUsageMs: number | undefined;
  readonly cpuUserMs: number | undefined;
  readonly cpuSystemMs: number | undefined;
  /** How long its tasks were kept from running by the quota. */
  readonly cpuThrottledMs: number | undefined;
  readonly memoryCurrentBytes: number | undefined;
  readonly memoryPeakBytes: number | undefined;
  readonly pidsCurrent: number | undefined;
  readonly pidsPeak: number | undefined;
  /** Processes that the kernel killed for want of memory, those of groups below included. */
  readonly oomKills: number | undefined;
  /** How often a fork failed at a limit of tasks. */
  readonly pidsLimitHits: number | undefined;
  /**
   * How often its memory was at the limit, so that some had to be taken back or somebody killed. Version 1 does not count
   * it where the limit of memory and swap together is no higher.
   */
  readonly memoryLimitHits: number | undefined;
  /** How often it was over `memory.high` of version 2, which slows it down. */
  readonly memoryHighHits: number | undefined;
  readonly swapCurrentBytes: number | undefined;
  readonly ioReadBytes: number | undefined;
  readonly ioWrittenBytes: number | undefined;
  /** What its tasks waited for, on version 2. */
  readonly pressure: Pressure | undefined;
}

/** The directory of a group that has a controller, and its version. */
export type Find = (
  controller: string,
) => { readonly directory: string; readonly version: 1 | 2 } | undefined;

/** Reads what a group has used; `unified` is its directory of version 2, which counts time without a controller. */
export function readStats(find: Find, unified: string | undefined): CgroupStats {
  return {
    ...cpuStats(find, unified),
    ...memoryStats(find),
    ...pidsStats(find),
    ...ioStats(find),
    pressure: unified === undefined ? undefined : readPressure(unified),
  };
}

type Cpu = Pick<CgroupStats, "cpuUsageMs" | "cpuUserMs" | "cpuSystemMs" | "cpuThrottledMs">;

function cpuStats(find: Find, unified: string | undefined): Cpu {
  const cpu = find("cpu");
  const accounts = find("cpuacct");
  const throttledNs = cpu?.version === 1 ? number(`${cpu.directory}/cpu.stat`, "throttled_time") : undefined;
  if (accounts?.version === 1) {
    const ms = (file: string): number | undefined => scaled(number(`${accounts.directory}/${file}`), 1e6);
    const cpuUsageMs = ms("cpuacct.usage");
    return {
      cpuUsageMs,
      ...shares(cpuUsageMs, ms("cpuacct.usage_user"), ms("cpuacct.usage_sys")),
      cpuThrottledMs: scaled(throttledNs, 1e6),
    };
  }
  const ms = (key: string): number | undefined => {
    return unified === undefined ? undefined : scaled(number(`${unified}/cpu.stat`, key), 1e3);
  };
  return {
    cpuUsageMs: ms("usage_usec"),
    cpuUserMs: ms("user_usec"),
    cpuSystemMs: ms("system_usec"),
    cpuThrottledMs: scaled(throttledNs, 1e6) ?? ms("throttled_usec"),
  };
}

/**
 * Version 1 measures how long a group ran, but only samples in which mode, at each tick: what runs in bursts is seen
 * too seldom. The measured time is shared out by the samples, as for a process (cputime_adjust() of the kernel).
 */
function shares(usage?: number, user?: number, system?: number): Pick<Cpu, "cpuUserMs" | "cpuSystemMs"> {
  if (usage === undefined || user === undefined || system === undefined) {
    return { cpuUserMs: user, cpuSystemMs: system };
  }
  const cpuSystemMs = system === 0 ? 0 : usage * system / (user + system);
  return { cpuUserMs: usage - cpuSystemMs, cpuSystemMs };
}

type Memory = Pick<
  CgroupStats,
  | "memoryCurrentBytes"
  | "memoryPeakBytes"
  | "oomKills"
  | "memoryLimitHits"
  | "memoryHighHits"
  | "swapCurrentBytes"
>;

function memoryStats(find: Find): Memory {
  const { directory, version } = find("memory") ?? { directory: "", version: 0 };
  const file = (name: string, key?: string): number | undefined => {
    return version === 0 ? undefined : number(`${directory}/memory.${name}`, key);
  };
  if (version === 1) {
    const [memory, both] = [file("usage_in_bytes"), file("memsw.usage_in_bytes")];
    return {
      memoryCurrentBytes: memory,
      memoryPeakBytes: file("max_usage_in_bytes"),
      oomKills: sum(directory, "memory.oom_control", "oom_kill"),
      memoryLimitHits: file("failcnt"),
      memoryHighHits: undefined,
      swapCurrentBytes: both === undefined || memory === undefined ? undefined : Math.max(both - memory, 0),
    };
  }
  return {
    memoryCurrentBytes: file("current"),
    memoryPeakBytes: file("peak"),
    oomKills: file("events", "oom_kill"),
    memoryLimitHits: file("events", "max"),
    memoryHighHits: file("events", "high"),
    swapCurrentBytes: file("swap.current"),
  };
}

type Pids = Pick<CgroupStats, "pidsCurrent" | "pidsPeak" | "pidsLimitHits">;

function pidsStats(find: Find): Pids {
  const { directory, version } = find("pids") ?? { directory: "", version: 0 };
  if (version === 0) return { pidsCurrent: undefined, pidsPeak: undefined, pidsLimitHits: undefined };
  // Kernels that have the file besides count those of groups below by themselves; others never do.
  const counts = number(`${directory}/pids.events.local`, "max") !== undefined;
  return {
    pidsCurrent: number(`${directory}/pids.current`),
    pidsPeak: number(`${directory}/pids.peak`),
    pidsLimitHits: counts ? number(`${directory}/pids.events`, "max") : sum(directory, "pids.events", "max"),
  };
}

function ioStats(find: Find): Pick<CgroupStats, "ioReadBytes" | "ioWrittenBytes"> {
  const one = find("blkio");
  if (one?.version === 1) {
    const lines = read(`${one.directory}/blkio.throttle.io_service_bytes`)?.split("\n");
    const bytes = (key: string): number | undefined => {
      return lines && total(lines.map((line) => new RegExp(` ${key} (\\d+)$`).exec(line)?.[1]));
    };
    return { ioReadBytes: bytes("Read"), ioWrittenBytes: bytes("Write") };
  }
  const two = find("io");
  const words = two && read(`${two.directory}/io.stat`)?.split(/\s+/);
  const bytes = (key: string): number | undefined => {
    return words &&
      total(words.map((word) => word.startsWith(`${key}=`) ? word.slice(key.length + 1) : undefined));
  };
  return { ioReadBytes: bytes("rbytes"), ioWrittenBytes: bytes("wbytes") };
}

function total(numbers: readonly (string | undefined)[]): number {
  return numbers.reduce((sum, each) => sum + Number(each ?? 0), 0);
}

/** Version 1 counts what happens in the group itself: those below are added. */
function sum(directory: string, file: string, key: string): number | undefined {
  const counts = tree(directory).map((each) => number(`${each}/${file}`, key)).filter((count) =>
    count !== undefined
  );
  return counts.length === 0 ? undefined : counts.reduce((total, count) => total + count, 0);
}

/** The number that a file holds, or the one after `key` on a line of its own. */
function number(path: string, key?: string): number | undefined {
  const text = read(path);
  const word = key === undefined
    ? text
    : text?.split("\n").find((line) => line.startsWith(`${key} `))?.slice(key.length + 1);
  return word === undefined ? undefined : Number(word);
}

function scaled(value: number | undefined, by: number): number | undefined {
  return value === undefined ? undefined : value / by;
}
