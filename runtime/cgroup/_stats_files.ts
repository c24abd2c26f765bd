import type {
  BlockIoCount,
  ContainerStats,
  Count,
  MemoryUsage,
  PressureStats,
  Stalls,
} from "./container_stats.ts";
import { read } from "./_tree.ts";

/** What one version tells. */
export type Found = Omit<ContainerStats, "intel_rdt" | "network_interfaces">;

/** The directory of a group with a controller of version 1. */
export type Groups = (controller: string) => string | undefined;

/** What version 2, or a missing cpuset, has to say. */
export const NO_CPUSET: ContainerStats["cpuset"] = {
  cpu_exclusive: 0,
  mem_hardwall: 0,
  mem_exclusive: 0,
  memory_migrate: 0,
  memory_spread_page: 0,
  memory_spread_slab: 0,
  memory_pressure: 0,
  sched_load_balance: 0,
  sched_relax_domain_level: 0,
};

/** The number in `text`; 0 for `max` or nothing. */
export function count(text: string | undefined): Count {
  if (text === undefined || !/^-?\d+$/.test(text)) return 0;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

/** The number that a file holds; 0 if there is none. */
export function countIn(path: string): Count {
  return count(read(path));
}

/** The lines `name number` of a file, sorted by name. */
export function table(path: string): Record<string, Count> {
  const lines = (read(path) ?? "").split("\n").map((line) => line.split(/\s+/)).filter(({ length }) =>
    length === 2
  );
  return Object.fromEntries(
    lines.map(([name = "", value]) => [name, count(value)] as const).sort(([a], [b]) => a < b ? -1 : 1),
  );
}

/** Without the fields that are 0, empty or missing, as Go leaves them out. */
export function omitZero<T extends object>(fields: T): T {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => {
      if (Array.isArray(value)) return value.length > 0;
      return value !== undefined && value !== "" && value !== 0;
    }),
  ) as T;
}

/** Two of the fields are there even if they are 0. */
export function memoryUsage(
  { limit, usage, max, failcnt }: { limit: Count; usage: Count; max: Count; failcnt: Count },
): MemoryUsage {
  return { limit, ...omitZero({ usage, max }), failcnt };
}

/** A count of a block device. */
export function blockCount(numbers: string, op: string, value: string | undefined): BlockIoCount {
  const [major, minor] = numbers.split(":");
  return omitZero({ major: count(major), minor: count(minor), op, value: count(value) });
}

/** A pressure file; nothing where the kernel does not measure it (Documentation/accounting/psi.rst). */
export function pressure(path: string): { readonly psi?: PressureStats } {
  let text: string | undefined;
  try {
    text = read(path);
  } catch {
    return {}; // it is switched off
  }
  if (text === undefined) return {};
  const stalls = (kind: string): Stalls => {
    const line = text.split("\n").find((each) => each.startsWith(`${kind} `)) ?? "";
    const value = (key: string): string => new RegExp(` ${key}=([\\d.]+)`).exec(line)?.[1] ?? "0";
    return {
      avg10: Number(value("avg10")),
      avg60: Number(value("avg60")),
      avg300: Number(value("avg300")),
      total: count(value("total")),
    };
  };
  return { psi: { some: stalls("some"), full: stalls("full") } };
}

/** The sizes of huge pages that the files of a group are about. */
export function pageSizes(directory: string): string[] {
  const sizes = [...Deno.readDirSync(directory)].map(({ name }) => /^hugetlb\.(\d+[KMG]B)\./.exec(name)?.[1]);
  return [...new Set(sizes)].filter((size) => size !== undefined).sort();
}

/** `0-2,7` as numbers. */
export function numberList(text: string): number[] {
  return text.split(",").filter((range) => range !== "").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}
