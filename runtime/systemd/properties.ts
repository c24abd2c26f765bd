import { weightOfShares } from "../cgroup/weights.ts";
import type { Resources } from "../spec/linux.ts";
import { deviceProperties } from "./device_properties.ts";
import type { Property, Variant } from "./variant.ts";

/** What stands for no limit. */
const INFINITY = String(2n ** 64n - 1n);
/** systemd counts CPU time in whole percents: this many microseconds of each second. */
const PERCENT_US = 10_000;

/** What the host has to do with properties. */
export interface Manager {
  /** Of the cgroup hierarchies. */
  readonly version: 1 | 2;
  /** The release of systemd, such as 252. */
  readonly release: number;
  /** /proc/devices, for device rules about all devices of a driver; nothing if there shall be none. */
  readonly devices?: string;
}

/**
 * The properties of a new scope, as runc sets them.
 *
 * @param pid Its first process.
 */
export function scopeProperties(
  { id, slice, isSlice, pid }: {
    readonly id: string;
    readonly slice: string;
    readonly isSlice: boolean;
    readonly pid: number;
  },
  resources: Resources,
  manager: Manager,
): Property[] {
  const on: Variant = ["b", true];
  const place: Property[] = isSlice
    ? [["Wants", ["as", [slice]]]]
    : [["Slice", ["s", slice]], ["Delegate", on], ["PIDs", ["au", [pid]]]];
  return [
    ["Description", ["s", `ai-sandbox container ${id}`]],
    ...place,
    ["MemoryAccounting", on],
    ["CPUAccounting", on],
    [manager.version === 2 ? "IOAccounting" : "BlockIOAccounting", on],
    ["TasksAccounting", on],
    ["DefaultDependencies", ["b", false]],
    ...resourceProperties(resources, manager),
    ...(manager.devices === undefined ? [] : deviceProperties(resources.devices ?? [], manager.devices)),
  ];
}

/**
 * The limits that systemd has properties for; the others are only written to the files. What is not asked for is left
 * alone.
 *
 * @example
 * ```ts
 * import { deepEqual } from "node:assert/strict";
 * const manager = { version: 2, release: 252 } as const;
 * deepEqual(resourceProperties({ pids: { limit: 5 } }, manager), [["TasksMax", ["t", "5"]]]);
 * ```
 */
export function resourceProperties(resources: Resources, manager: Manager): Property[] {
  const { memory = {}, pids, blockIO } = resources;
  const found: Property[] = [];
  const size = (name: string, value: number | bigint | undefined): void => {
    if (value !== undefined && Number(value) !== 0) found.push([name, ["t", unlimited(value)]]);
  };
  if (manager.version === 1) size("MemoryLimit", memory.limit);
  else {
    size("MemoryMax", memory.limit);
    size("MemoryLow", memory.reservation);
    if (memory.swap !== undefined && Number(memory.swap) !== 0) {
      const own = BigInt(memory.swap) - BigInt(memory.limit ?? 0);
      found.push(["MemorySwapMax", ["t", Number(memory.swap) === -1 ? INFINITY : String(own)]]);
    }
  }
  found.push(...cpuProperties(resources, manager));
  if (blockIO?.weight && manager.version === 1) found.push(["BlockIOWeight", ["t", String(blockIO.weight)]]);
  if (pids && Number(pids.limit) !== 0) found.push(["TasksMax", ["t", unlimited(pids.limit)]]);
  if (manager.version === 2) found.push(...unifiedProperties(resources, manager));
  return found;
}

function unlimited(value: number | bigint): string {
  return Number(value) === -1 ? INFINITY : String(value);
}

function* cpuProperties({ cpu = {} }: Resources, { version, release }: Manager): Iterable<Property> {
  const { shares, quota, period, idle, cpus, mems } = cpu;
  if (version === 2 && Number(idle ?? 0) === 1 && release >= 252) yield ["CPUWeight", ["t", "0"]];
  else if (shares !== undefined && Number(shares) !== 0) {
    yield version === 1
      ? ["CPUShares", ["t", String(shares)]]
      : ["CPUWeight", ["t", String(weightOfShares(shares))]];
  }
  yield* quotaProperties(Number(quota ?? 0), Number(period ?? 0), release);
  if (version === 2 && release >= 244) {
    if (cpus) yield ["AllowedCPUs", ["ay", numberMask(cpus)]];
    if (mems) yield ["AllowedMemoryNodes", ["ay", numberMask(mems)]];
  }
}

/** Rounded up to what systemd can say: the files are written exactly, and must fit below it. */
function* quotaProperties(quota: number, period: number, release: number): Iterable<Property> {
  if (quota === 0 && period === 0) return;
  if (period !== 0 && release >= 242) yield ["CPUQuotaPeriodUSec", ["t", String(period)]];
  const us = Math.ceil(quota * 1e6 / (period || 100_000) / PERCENT_US) * PERCENT_US;
  yield ["CPUQuotaPerSecUSec", ["t", quota > 0 ? String(us) : INFINITY]];
}

const UNIFIED_SIZES: Readonly<Record<string, string>> = {
  "memory.high": "MemoryHigh",
  "memory.low": "MemoryLow",
  "memory.min": "MemoryMin",
  "memory.max": "MemoryMax",
  "memory.swap.max": "MemorySwapMax",
  "pids.max": "TasksMax",
};
const UNIFIED_LISTS: Readonly<Record<string, string>> = {
  "cpuset.cpus": "AllowedCPUs",
  "cpuset.mems": "AllowedMemoryNodes",
};

/** Only the files that systemd would set back; the others are it does not know. */
function* unifiedProperties({ unified = {} }: Resources, { release }: Manager): Iterable<Property> {
  for (const [file, text] of Object.entries(unified)) {
    const value = text.trim();
    const size = UNIFIED_SIZES[file];
    const list = UNIFIED_LISTS[file];
    if (size !== undefined && /^(max|\d+)$/.test(value)) {
      yield [size, ["t", value === "max" ? INFINITY : value]];
    } else if (list !== undefined && release >= 244) yield [list, ["ay", numberMask(value)]];
    else if (file === "cpu.weight") yield ["CPUWeight", ["t", value]];
    else if (file === "cpu.idle" && value === "1" && release >= 252) yield ["CPUWeight", ["t", "0"]];
    else if (file === "cpu.max") {
      const [quota = "max", period = "0"] = value.split(" ");
      yield* quotaProperties(quota === "max" ? -1 : Number(quota), Number(period), release);
    }
  }
}

/** `0-2,7` as bits, the lowest byte first. */
export function numberMask(list: string): number[] {
  const bytes: number[] = [];
  for (const range of list.split(",").map((each) => each.trim()).filter((each) => each !== "")) {
    const [first = 0, last = first] = range.split("-").map(Number);
    for (let bit = first; bit <= last; bit++) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (1 << (bit & 7));
  }
  return Array.from(bytes, (byte) => byte ?? 0);
}
