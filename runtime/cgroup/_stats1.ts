import type { BlockIoCount, ContainerStats, Count } from "./container_stats.ts";
import {
  blockCount,
  count,
  countIn,
  type Found,
  type Groups,
  memoryUsage,
  NO_CPUSET,
  numberList,
  omitZero,
  pageSizes,
  table,
} from "./_stats_files.ts";
import { read } from "./_tree.ts";

/** Nanoseconds in one tick of `cpuacct.stat`: USER_HZ is 100 everywhere. */
const TICK_NS = 10_000_000;

/** What the files of cgroup v1 tell. */
export function stats1(find: Groups): Found {
  const pids = find("pids");
  return {
    cpu: cpu(find),
    cpuset: cpuset(find("cpuset")),
    memory: memory(find("memory")),
    pids: pids === undefined
      ? {}
      : { current: countIn(`${pids}/pids.current`), limit: countIn(`${pids}/pids.max`) },
    blkio: blkio(find("blkio")),
    hugetlb: hugetlb(find("hugetlb")),
  };
}

function cpu(find: Groups): ContainerStats["cpu"] {
  const [bandwidth, accounts] = [find("cpu"), find("cpuacct")];
  const { nr_periods = 0, nr_throttled = 0, throttled_time = 0 } = bandwidth === undefined
    ? {}
    : table(`${bandwidth}/cpu.stat`);
  const throttling = omitZero({
    periods: nr_periods,
    throttledPeriods: nr_throttled,
    throttledTime: throttled_time,
  });
  if (accounts === undefined) return { usage: { kernel: 0, user: 0 }, throttling };
  const { user = 0, system = 0 } = table(`${accounts}/cpuacct.stat`);
  // cpu user system
  const rows = (read(`${accounts}/cpuacct.usage_all`) ?? "").split("\n").slice(1).map((row) =>
    row.split(" ")
  );
  const words = (read(`${accounts}/cpuacct.usage_percpu`) ?? "").split(" ").filter((word) => word !== "");
  return {
    usage: {
      ...omitZero({
        total: countIn(`${accounts}/cpuacct.usage`),
        percpu: words.map(count),
        percpu_kernel: rows.map(([, , kernel]) => count(kernel)),
        percpu_user: rows.map(([, mine]) => count(mine)),
      }),
      kernel: Number(system) * TICK_NS,
      user: Number(user) * TICK_NS,
    },
    throttling,
  };
}

function cpuset(directory: string | undefined): ContainerStats["cpuset"] {
  if (directory === undefined) return NO_CPUSET;
  const at = (file: string): Count => countIn(`${directory}/cpuset.${file}`);
  const list = (file: string): number[] => numberList(read(`${directory}/cpuset.${file}`) ?? "");
  return {
    ...omitZero({ cpus: list("cpus") }),
    cpu_exclusive: at("cpu_exclusive"),
    ...omitZero({ mems: list("mems") }),
    mem_hardwall: at("mem_hardwall"),
    mem_exclusive: at("mem_exclusive"),
    memory_migrate: at("memory_migrate"),
    memory_spread_page: at("memory_spread_page"),
    memory_spread_slab: at("memory_spread_slab"),
    memory_pressure: at("memory_pressure"),
    sched_load_balance: at("sched_load_balance"),
    sched_relax_domain_level: at("sched_relax_domain_level"),
  };
}

function memory(directory: string | undefined): ContainerStats["memory"] {
  const raw = directory === undefined ? {} : table(`${directory}/memory.stat`);
  const of = (kind: string): ReturnType<typeof memoryUsage> => {
    const at = (file: string): Count =>
      directory === undefined ? 0 : countIn(`${directory}/memory.${kind}${file}`);
    return memoryUsage({
      limit: at("limit_in_bytes"),
      usage: at("usage_in_bytes"),
      max: at("max_usage_in_bytes"),
      failcnt: at("failcnt"),
    });
  };
  return {
    ...omitZero({ cache: raw.cache ?? 0 }),
    usage: of(""),
    swap: of("memsw."),
    kernel: of("kmem."),
    kernelTCP: of("kmem.tcp."),
    ...(Object.keys(raw).length > 0 && { raw }),
  };
}

const BLOCK_FILES = [
  ["ioServiceBytesRecursive", "io_service_bytes_recursive"],
  ["ioServicedRecursive", "io_serviced_recursive"],
  ["ioQueueRecursive", "io_queued_recursive"],
  ["ioServiceTimeRecursive", "io_service_time_recursive"],
  ["ioWaitTimeRecursive", "io_wait_time_recursive"],
  ["ioMergedRecursive", "io_merged_recursive"],
  ["ioTimeRecursive", "time_recursive"],
  ["sectorsRecursive", "sectors_recursive"],
] as const;

/** Which files there are depends on the schedulers; the limits on rates count with every one. */
function blkio(directory: string | undefined): ContainerStats["blkio"] {
  if (directory === undefined) return {};
  const lines = (file: string): BlockIoCount[] => {
    return (read(`${directory}/blkio.${file}`) ?? "").split("\n").flatMap((line) => {
      const words = line.split(/\s+/);
      if (!/^\d+:\d+$/.test(words[0]!)) return []; // the total of all
      const [numbers = "", op = "", value] = words.length === 2 ? [words[0], "", words[1]] : words;
      return [blockCount(numbers, op, value)];
    });
  };
  for (const prefix of ["bfq.", ""]) {
    if (lines(`${prefix}io_serviced_recursive`).length === 0) continue;
    return omitZero(
      Object.fromEntries(BLOCK_FILES.map(([field, file]) => [field, lines(`${prefix}${file}`)])),
    );
  }
  const throttled = (file: string): BlockIoCount[] => {
    const all = lines(`throttle.${file}_recursive`);
    return all.length > 0 ? all : lines(`throttle.${file}`);
  };
  return omitZero({
    ioServiceBytesRecursive: throttled("io_service_bytes"),
    ioServicedRecursive: throttled("io_serviced"),
  });
}

function hugetlb(directory: string | undefined): ContainerStats["hugetlb"] {
  if (directory === undefined) return {};
  return Object.fromEntries(
    pageSizes(directory).map((size) => {
      const at = (file: string): Count => {
        const reserved = read(`${directory}/hugetlb.${size}.rsvd.${file}`);
        return reserved === undefined ? countIn(`${directory}/hugetlb.${size}.${file}`) : count(reserved);
      };
      const counts = omitZero({ usage: at("usage_in_bytes"), max: at("max_usage_in_bytes") });
      return [size, { ...counts, failcnt: at("failcnt") }];
    }),
  );
}
