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
}

/** The directory of a group that has a controller, and its version. */
export type Find = (
  controller: string,
) => { readonly directory: string; readonly version: 1 | 2 } | undefined;

/** Reads what a group has used; `unified` is its directory of version 2, which counts time without a controller. */
export function readStats(find: Find, unified: string | undefined): CgroupStats {
  return { ...cpuStats(find, unified), ...memoryStats(find), ...pidsStats(find) };
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

type Memory = Pick<CgroupStats, "memoryCurrentBytes" | "memoryPeakBytes" | "oomKills">;

function memoryStats(find: Find): Memory {
  const { directory, version } = find("memory") ?? { directory: "", version: 0 };
  const [current, peak] = version === 1
    ? ["memory.usage_in_bytes", "memory.max_usage_in_bytes"]
    : ["memory.current", "memory.peak"];
  if (version === 0) {
    return { memoryCurrentBytes: undefined, memoryPeakBytes: undefined, oomKills: undefined };
  }
  return {
    memoryCurrentBytes: number(`${directory}/${current}`),
    memoryPeakBytes: number(`${directory}/${peak}`),
    oomKills: version === 1
      ? sum(directory, "memory.oom_control", "oom_kill")
      : number(`${directory}/memory.events`, "oom_kill"),
  };
}

type Pids = Pick<CgroupStats, "pidsCurrent" | "pidsPeak" | "pidsLimitHits">;

function pidsStats(find: Find): Pids {
  const { directory, version } = find("pids") ?? { directory: "", version: 0 };
  if (version === 0) return { pidsCurrent: undefined, pidsPeak: undefined, pidsLimitHits: undefined };
  return {
    pidsCurrent: number(`${directory}/pids.current`),
    pidsPeak: number(`${directory}/pids.peak`),
    pidsLimitHits: version === 1
      ? sum(directory, "pids.events", "max")
      : number(`${directory}/pids.events`, "max"),
  };
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
