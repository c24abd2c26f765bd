import type { CpuLimits } from "../spec/linux.ts";
import { UnsupportedError } from "../errors.ts";
import { LEAST_SHARES, MOST_SHARES, weightOfShares } from "./weights.ts";
import { type Hierarchies, isSet, limit, onlyVersion1, RESOURCES, type Write } from "./hierarchy.ts";

const POINTER = `${RESOURCES}/cpu`;
/** The kernel's default period of the bandwidth controller in microseconds (sched-bwc.rst). */
const USUAL_PERIOD_US = 100_000;

/** Processor time and processors: controllers `cpu` and `cpuset`. */
export function* cpuWrites(cpu: CpuLimits, hierarchies: Hierarchies): Iterable<Write> {
  const { shares, quota, burst, period, idle } = cpu;
  const time = { shares, quota, burst, period, idle };
  const realtime = { realtimeRuntime: cpu.realtimeRuntime, realtimePeriod: cpu.realtimePeriod };
  for (const [field, value] of Object.entries({ ...time, ...realtime })) {
    if (value === undefined || (Number(value) === 0 && field !== "burst" && field !== "idle")) continue;
    const { version } = hierarchies.with("cpu", `${POINTER}/${field}`);
    if (version === 2 && field in realtime) throw onlyVersion1(`${POINTER}/${field}`);
  }
  const hierarchy = hierarchies.find("cpu");
  if (hierarchy !== undefined) {
    const { version, mountPoint } = hierarchy;
    for (const [file, value, field] of version === 1 ? version1(cpu) : version2(cpu)) {
      yield { mountPoint, file, value, pointer: `${POINTER}/${field}` };
    }
  }
  for (const field of ["cpus", "mems"] as const) {
    const value = cpu[field];
    if (!value) continue;
    const { mountPoint } = hierarchies.with("cpuset", `${POINTER}/${field}`);
    yield { mountPoint, file: `cpuset.${field}`, value, pointer: `${POINTER}/${field}` };
  }
}

type Line = readonly [file: string, value: string, field: keyof CpuLimits];

/** Each is checked against those before: quota by its period, burst by the quota, real-time by its period. */
function* version1(cpu: CpuLimits): Iterable<Line> {
  if (isSet(cpu.shares)) yield ["cpu.shares", sharesInRange(cpu.shares), "shares"];
  if (isSet(cpu.period)) yield ["cpu.cfs_period_us", String(cpu.period), "period"];
  if (isSet(cpu.quota)) yield ["cpu.cfs_quota_us", limit(cpu.quota, 1), "quota"];
  if (cpu.burst !== undefined) yield ["cpu.cfs_burst_us", String(cpu.burst), "burst"];
  if (isSet(cpu.realtimePeriod)) yield ["cpu.rt_period_us", String(cpu.realtimePeriod), "realtimePeriod"];
  if (isSet(cpu.realtimeRuntime)) yield ["cpu.rt_runtime_us", String(cpu.realtimeRuntime), "realtimeRuntime"];
  // Last: an idle group refuses shares.
  if (cpu.idle !== undefined) yield ["cpu.idle", String(cpu.idle), "idle"];
}

/** The kernel would take the nearest without a word. */
function sharesInRange(shares: number | bigint): string {
  const refuse = (words: string): never => {
    throw new UnsupportedError(`${POINTER}/shares`, `the ${words}`);
  };
  if (Number(shares) < LEAST_SHARES) refuse(`minimum allowed cpu-shares is ${LEAST_SHARES}`);
  if (Number(shares) > MOST_SHARES) refuse(`maximum allowed cpu-shares is ${MOST_SHARES}`);
  return String(shares);
}

function* version2({ shares, quota, period, burst, idle }: CpuLimits): Iterable<Line> {
  if (isSet(shares)) yield ["cpu.weight", String(weightOfShares(shares)), "shares"];
  if (isSet(quota) || isSet(period)) {
    const most = isSet(quota) ? limit(quota, 2) : "max";
    const value = `${most} ${isSet(period) ? period : USUAL_PERIOD_US}`;
    yield ["cpu.max", value, isSet(quota) ? "quota" : "period"];
  }
  if (burst !== undefined) yield ["cpu.max.burst", String(burst), "burst"];
  if (idle !== undefined) yield ["cpu.idle", String(idle), "idle"];
}
