import type { BlockIoCount, ContainerStats, Count } from "./container_stats.ts";
import {
  blockCount,
  count,
  countIn,
  type Found,
  memoryUsage,
  NO_CPUSET,
  omitZero,
  pageSizes,
  pressure,
  table,
} from "./_stats_files.ts";
import { read } from "./_tree.ts";

/** What runc says where there is no limit. */
const UNLIMITED = 2n ** 64n - 1n;

/** What the files of cgroup v2 tell. */
export function stats2(directory: string): Found {
  return {
    cpu: cpu(directory),
    cpuset: NO_CPUSET,
    memory: memory(directory),
    pids: { current: countIn(`${directory}/pids.current`), limit: countIn(`${directory}/pids.max`) },
    blkio: blkio(directory),
    hugetlb: hugetlb(directory),
  };
}

function cpu(directory: string): ContainerStats["cpu"] {
  const stat = table(`${directory}/cpu.stat`);
  const ns = (key: string): Count => count(String(BigInt(stat[key] ?? 0) * 1000n));
  return {
    usage: { ...omitZero({ total: ns("usage_usec") }), kernel: ns("system_usec"), user: ns("user_usec") },
    throttling: omitZero({
      periods: stat.nr_periods ?? 0,
      throttledPeriods: stat.nr_throttled ?? 0,
      throttledTime: ns("throttled_usec"),
    }),
    ...pressure(`${directory}/cpu.pressure`),
  };
}

function memory(directory: string): ContainerStats["memory"] {
  const raw = table(`${directory}/memory.stat`);
  const at = (file: string): Count => countIn(`${directory}/memory.${file}`);
  const most = (file: string): Count => read(`${directory}/memory.${file}`) === "max" ? UNLIMITED : at(file);
  const [usage, limit, swapLimit] = [at("current"), most("max"), most("swap.max")];
  // As version 1 does: memory and swap together.
  const both = BigInt(swapLimit) + BigInt(limit);
  const none = { limit: 0, usage: 0, max: 0, failcnt: 0 };
  return {
    ...omitZero({ cache: raw.file ?? 0 }),
    usage: memoryUsage({ limit, usage, max: at("peak"), failcnt: 0 }),
    swap: memoryUsage({
      limit: both > UNLIMITED ? UNLIMITED : count(String(both)),
      usage: count(String(BigInt(at("swap.current")) + BigInt(usage))),
      max: 0,
      failcnt: 0,
    }),
    kernel: memoryUsage(none),
    kernelTCP: memoryUsage(none),
    ...(Object.keys(raw).length > 0 && { raw }),
    ...pressure(`${directory}/memory.pressure`),
  };
}

/** The words of version 2, and where and by which name version 1 has the same. */
const OPERATIONS = {
  rbytes: ["ioServiceBytesRecursive", "Read"],
  wbytes: ["ioServiceBytesRecursive", "Write"],
  rios: ["ioServicedRecursive", "Read"],
  wios: ["ioServicedRecursive", "Write"],
} as const;

function blkio(directory: string): ContainerStats["blkio"] {
  const found = { ioServiceBytesRecursive: [] as BlockIoCount[], ioServicedRecursive: [] as BlockIoCount[] };
  for (const line of (read(`${directory}/io.stat`) ?? "").split("\n")) {
    const [numbers = "", ...words] = line.split(" ");
    for (const word of words) {
      const [key = "", value] = word.split("=");
      if (!Object.hasOwn(OPERATIONS, key)) continue;
      const [field, op] = OPERATIONS[key as keyof typeof OPERATIONS];
      found[field].push(blockCount(numbers, op, value));
    }
  }
  return { ...omitZero(found), ...pressure(`${directory}/io.pressure`) };
}

function hugetlb(directory: string): ContainerStats["hugetlb"] {
  return Object.fromEntries(
    pageSizes(directory).map((size) => {
      const prefix = `${directory}/hugetlb.${size}`;
      const reserved = read(`${prefix}.rsvd.current`);
      const usage = reserved === undefined ? countIn(`${prefix}.current`) : count(reserved);
      return [size, { ...omitZero({ usage }), failcnt: table(`${prefix}.events`).max ?? 0 }];
    }),
  );
}
