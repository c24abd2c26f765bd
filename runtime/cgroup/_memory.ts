import { UnsupportedError } from "../errors.ts";
import type { MemoryLimits } from "../spec/linux.ts";
import {
  type Hierarchies,
  type Hierarchy,
  isSet,
  limit,
  onlyVersion1,
  RESOURCES,
  type Write,
} from "./hierarchy.ts";

const POINTER = `${RESOURCES}/memory`;

/** Memory and swap: controller `memory`. */
export function* memoryWrites(memory: MemoryLimits, hierarchies: Hierarchies): Iterable<Write> {
  let hierarchy: Hierarchy | undefined;
  for (const [field, value] of Object.entries(memory)) {
    if (!asks(field, value)) continue;
    hierarchy = hierarchies.with("memory", `${POINTER}/${field}`);
  }
  if (hierarchy === undefined) return;
  checkSwap(memory);
  yield* hierarchy.version === 1 ? version1(memory, hierarchy) : version2(memory, hierarchy);
}

function asks(field: string, value: unknown): boolean {
  if (field === "kernel") return false; // as in runc it is warned of
  if (field === "swappiness") return value !== undefined;
  if (typeof value === "boolean") return field === "disableOOMKiller" && value || field === "useHierarchy";
  return value !== undefined && Number(value) !== 0;
}

function checkSwap({ limit, swap }: MemoryLimits): void {
  if (!isSet(swap) || Number(swap) === -1) return;
  const refuse = (why: string, remedy: string): UnsupportedError =>
    new UnsupportedError(`${POINTER}/swap`, why, remedy);
  if (!isSet(limit) || Number(limit) === -1) {
    throw refuse("it limits memory and swap together, and memory has no limit", "set memory/limit too");
  }
  if (BigInt(swap) < BigInt(limit)) throw refuse("it is below memory/limit", "raise it to that at least");
}

function* version1(memory: MemoryLimits, { mountPoint }: Hierarchy): Iterable<Write> {
  const write = (file: string, value: string, field: keyof MemoryLimits): Write => ({
    mountPoint,
    file: `memory.${file}`,
    value,
    pointer: `${POINTER}/${field}`,
  });
  // Only an empty group without groups below can change it.
  if (memory.useHierarchy !== undefined) {
    yield write("use_hierarchy", memory.useHierarchy ? "1" : "0", "useHierarchy");
  }
  // The limit of both together may never be below that of memory, so it comes second: at first both are none.
  if (isSet(memory.limit)) yield write("limit_in_bytes", limit(memory.limit, 1), "limit");
  if (isSet(memory.swap)) yield write("memsw.limit_in_bytes", limit(memory.swap, 1), "swap");
  if (isSet(memory.reservation)) {
    yield write("soft_limit_in_bytes", limit(memory.reservation, 1), "reservation");
  }
  const { kernelTCP } = memory;
  if (isSet(kernelTCP)) {
    const one = write("kmem.tcp.limit_in_bytes", limit(kernelTCP, 1), "kernelTCP");
    yield { ...one, mayBeIgnored: Number(kernelTCP) !== -1 };
  }
  if (memory.disableOOMKiller) yield write("oom_control", "1", "disableOOMKiller");
  if (memory.swappiness !== undefined) yield write("swappiness", String(memory.swappiness), "swappiness");
}

function* version2(memory: MemoryLimits, { mountPoint }: Hierarchy): Iterable<Write> {
  const { kernelTCP } = memory;
  if (isSet(kernelTCP) && Number(kernelTCP) !== -1) throw onlyVersion1(`${POINTER}/kernelTCP`);
  if (memory.swappiness !== undefined) throw onlyVersion1(`${POINTER}/swappiness`);
  if (memory.disableOOMKiller) throw onlyVersion1(`${POINTER}/disableOOMKiller`);
  if (memory.useHierarchy === false) {
    throw new UnsupportedError(`${POINTER}/useHierarchy`, "cgroup v2 always counts the groups below");
  }
  const write = (file: string, value: string, field: keyof MemoryLimits): Write => ({
    mountPoint,
    file: `memory.${file}`,
    value,
    pointer: `${POINTER}/${field}`,
  });
  // Version 2 limits swap by itself.
  if (isSet(memory.swap)) {
    const swap = Number(memory.swap) === -1 ? "max" : String(BigInt(memory.swap) - BigInt(memory.limit!));
    // A kernel without swap has no such file, and never swaps.
    yield { ...write("swap.max", swap, "swap"), ifThere: true, ...atMost(memory, "swap", "memory+swap") };
  }
  if (isSet(memory.limit)) {
    yield { ...write("max", limit(memory.limit, 2), "limit"), ...atMost(memory, "limit", "memory") };
  }
  if (isSet(memory.reservation)) yield write("low", limit(memory.reservation, 2), "reservation");
}

/** Refuses a limit that is below what is used already, if that was asked for. */
function atMost(memory: MemoryLimits, field: "limit" | "swap", words: string): Pick<Write, "usage"> {
  const most = BigInt(memory[field]!);
  return memory.checkBeforeUpdate && most > 0n ? { usage: { file: "memory.current", most, words } } : {};
}
