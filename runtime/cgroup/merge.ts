import type { BlockIoLimits, CpuLimits, MemoryLimits, Resources } from "../spec/linux.ts";
import { isSet } from "./hierarchy.ts";

/** What an update asks for. */
export interface Changed {
  /** What has to be set, without device rules; what only counts together with something that stays comes with that. */
  readonly limits: Resources;
  /** What holds afterwards. */
  readonly resources: Resources;
}

/**
 * What is to be set and what holds afterwards, when `asked` is added to `kept`. As engines write them, 0 and empty
 * texts leave things as they are.
 */
export function changed(asked: Resources, kept: Resources): Changed {
  const { devices: _, pids, memory, cpu, blockIO, ...others } = asked;
  const pidsAsked = pids && isSet(pids.limit) ? { pids } : {};
  const memoryAsked = memory ? memoryOf(given(memory), kept.memory ?? {}) : {};
  const cpuAsked = cpu ? cpuOf(given(cpu), kept.cpu ?? {}) : {};
  const blockAsked = blockIO ? given(blockIO) : {};
  const limits: Resources = {
    ...others,
    ...pidsAsked,
    ...(Object.keys(memoryAsked).length > 0 && { memory: memoryAsked }),
    ...(Object.keys(cpuAsked).length > 0 && { cpu: cpuAsked }),
    ...(Object.keys(blockAsked).length > 0 && { blockIO: blockAsked }),
  };
  const { checkBeforeUpdate: __, ...memoryKept } = { ...kept.memory, ...memoryAsked };
  const checks = kept.memory?.checkBeforeUpdate;
  const resources: Resources = {
    ...kept,
    ...limits,
    ...(limits.memory && {
      memory: { ...memoryKept, ...(checks !== undefined && { checkBeforeUpdate: checks }) },
    }),
    ...(limits.cpu && { cpu: { ...kept.cpu, ...cpuAsked } }),
    ...(limits.blockIO && { blockIO: { ...kept.blockIO, ...mergedLists(blockAsked, kept.blockIO ?? {}) } }),
    ...(limits.hugepageLimits && {
      hugepageLimits: merged(kept.hugepageLimits, limits.hugepageLimits, ({ pageSize }) => pageSize),
    }),
    ...(limits.unified && { unified: { ...kept.unified, ...limits.unified } }),
    ...(limits.rdma && { rdma: { ...kept.rdma, ...limits.rdma } }),
    ...(limits.network && { network: { ...kept.network, ...limits.network } }),
  };
  return { limits, resources };
}

/** Fields that have a meaning at 0, too. */
const ZEROES = ["burst", "idle", "swappiness"];

/** The fields that ask for something. */
function given<T extends object>(limits: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(limits).filter(([field, value]) => {
      if (Array.isArray(value)) return value.length > 0;
      if (typeof value === "boolean") return value;
      if (typeof value === "string") return value !== "";
      return value !== undefined && (ZEROES.includes(field) || Number(value) !== 0);
    }),
  ) as Partial<T>;
}

/**
 * Version 2 derives the limit of swap from both, so that what is asked of one takes the other with it. Memory without limit
 * and with one for both together cannot be.
 */
function memoryOf(asked: MemoryLimits, kept: MemoryLimits): MemoryLimits {
  if (isSet(asked.swap) && !isSet(asked.limit) && isSet(kept.limit)) return { ...asked, limit: kept.limit };
  if (isSet(asked.swap) || !isSet(asked.limit) || !isSet(kept.swap)) return asked;
  return { ...asked, swap: Number(asked.limit) === -1 ? -1 : kept.swap };
}

/** Version 2 takes quota and period in one line. */
function cpuOf(asked: CpuLimits, kept: CpuLimits): CpuLimits {
  const { quota = kept.quota, period = kept.period } = asked;
  if (asked.quota === undefined && asked.period === undefined) return asked;
  return { ...asked, ...(isSet(quota) && { quota }), ...(isSet(period) && { period }) };
}

/** The lists of devices, each device once. */
function mergedLists(asked: BlockIoLimits, kept: BlockIoLimits): BlockIoLimits {
  return Object.fromEntries(
    Object.entries(asked).map(([field, value]) => {
      const before: unknown = kept[field as keyof BlockIoLimits];
      if (!Array.isArray(value)) return [field, value];
      return [
        field,
        merged(Array.isArray(before) ? before : [], value, ({ major, minor }) => `${major}:${minor}`),
      ];
    }),
  );
}

/** The entries of both; what `now` says about a key takes the place of what was said before. */
function merged<T>(before: readonly T[] = [], now: readonly T[], key: (entry: T) => string): T[] {
  const keys = new Set(now.map(key));
  return [...before.filter((each) => !keys.has(key(each))), ...now];
}
