import { type Found, type Groups, omitZero } from "./_stats_files.ts";
import { stats1 } from "./_stats1.ts";
import { stats2 } from "./_stats2.ts";
import type { UsedGroup } from "./update.ts";

/** A count of the kernel; a bigint where a number would round it. */
export type Count = number | bigint;

/** What a container has used, in the form of runc's `events`: what is 0 may be missing. Times are in nanoseconds. */
export interface ContainerStats {
  /** Processor time. */
  readonly cpu: {
    readonly usage: {
      readonly total?: Count;
      /** By processor, on version 1. */
      readonly percpu?: readonly Count[];
      readonly percpu_kernel?: readonly Count[];
      readonly percpu_user?: readonly Count[];
      readonly kernel: Count;
      readonly user: Count;
    };
    readonly throttling: {
      readonly periods?: Count;
      readonly throttledPeriods?: Count;
      readonly throttledTime?: Count;
    };
    readonly psi?: PressureStats;
  };
  /** What version 1 says of processors and memory nodes; 0 on version 2. */
  readonly cpuset: {
    readonly cpus?: readonly number[];
    readonly cpu_exclusive: Count;
    readonly mems?: readonly number[];
    readonly mem_hardwall: Count;
    readonly mem_exclusive: Count;
    readonly memory_migrate: Count;
    readonly memory_spread_page: Count;
    readonly memory_spread_slab: Count;
    readonly memory_pressure: Count;
    readonly sched_load_balance: Count;
    readonly sched_relax_domain_level: Count;
  };
  /** In bytes. */
  readonly memory: {
    readonly cache?: Count;
    readonly usage: MemoryUsage;
    /** Memory and swap together. */
    readonly swap: MemoryUsage;
    /** On version 1. */
    readonly kernel: MemoryUsage;
    readonly kernelTCP: MemoryUsage;
    /** All of `memory.stat`. */
    readonly raw?: { readonly [name: string]: Count };
    readonly psi?: PressureStats;
  };
  /** Processes and threads. */
  readonly pids: { readonly current?: Count; readonly limit?: Count };
  /** Block I/O, by device. */
  readonly blkio: {
    readonly ioServiceBytesRecursive?: readonly BlockIoCount[];
    readonly ioServicedRecursive?: readonly BlockIoCount[];
    readonly ioQueueRecursive?: readonly BlockIoCount[];
    readonly ioServiceTimeRecursive?: readonly BlockIoCount[];
    readonly ioWaitTimeRecursive?: readonly BlockIoCount[];
    readonly ioMergedRecursive?: readonly BlockIoCount[];
    readonly ioTimeRecursive?: readonly BlockIoCount[];
    readonly sectorsRecursive?: readonly BlockIoCount[];
    readonly psi?: PressureStats;
  };
  /** By the size of the pages. */
  readonly hugetlb: {
    readonly [size: string]: { readonly usage?: Count; readonly max?: Count; readonly failcnt: Count };
  };
  /** Always empty. */
  readonly intel_rdt: Record<never, never>;
  /** Always nothing, as of every container made from a config.json. */
  readonly network_interfaces: null;
}

/** How much of one kind of memory is used. */
export interface MemoryUsage {
  /** The most that it may be. */
  readonly limit: Count;
  /** What is used now. */
  readonly usage?: Count;
  /** The most that was used at a time. */
  readonly max?: Count;
  /** How often the limit was reached. */
  readonly failcnt: Count;
}

/** A count of one block device. */
export interface BlockIoCount {
  /** Major number of the device. */
  readonly major?: Count;
  /** Minor number of the device. */
  readonly minor?: Count;
  /** Such as `Read`; some counts have none. */
  readonly op?: string;
  /** How much or how many. */
  readonly value?: Count;
}

/** How much of the time tasks waited, in percent, and how many microseconds since the beginning. */
export interface PressureStats {
  /** At least one task waited. */
  readonly some?: Stalls;
  /** All tasks waited. */
  readonly full?: Stalls;
}

/** Shares of the last 10, 60 and 300 seconds, and the sum. */
export interface Stalls {
  /** Percent of the last 10 seconds. */
  readonly avg10: number;
  /** Percent of the last minute. */
  readonly avg60: number;
  /** Percent of the last five minutes. */
  readonly avg300: number;
  /** Microseconds in all. */
  readonly total: Count;
}

/** Reads what a group has used, in the form in which runc tells it. */
export function readContainerStats(groups: readonly UsedGroup[]): ContainerStats {
  const find: Groups = (controller) => {
    return groups.find(({ version, controllers }) =>
      version === 1 && controllers.split(",").includes(controller)
    )
      ?.directory;
  };
  const unified = groups.find(({ version }) => version === 2)?.directory;
  // Where both are mounted, version 1 has the controllers.
  const is1 = groups.some(({ version, controllers }) => version === 1 && !controllers.startsWith("name="));
  const found: Found = is1 || unified === undefined ? stats1(find) : stats2(unified);
  const { cpu, cpuset, memory, pids, blkio, hugetlb } = found;
  return {
    cpu,
    cpuset,
    memory,
    pids: omitZero(pids),
    blkio,
    hugetlb,
    intel_rdt: {},
    network_interfaces: null,
  };
}
