import { type IoMax, type SandboxOptions, UsageError } from "../mod.ts";
import { type Arguments, count, sizeBytes } from "./args.ts";

const KEYS = ["rbps", "wbps", "riops", "wiops"] as const;
const MANAGERS = ["cgroupfs", "disabled"] as const;

/**
 * The limits that the flags of a command ask for.
 *
 * @throws {UsageError} for a value that is none, or a limit where no cgroup is to be made.
 */
export function readLimits(args: Arguments): SandboxOptions {
  const names = ["cpu", "cpuset", "memory", "memory-swap", "pids", "cgroup-manager"] as const;
  const [cpu, cpuset, memory, swap, pids, manager] = names.map((name) => args.value(name));
  const ioMax = args.values("io-max").map(readIoMax);
  const limit = [...names.slice(0, -1), "io-max"].find((name) => args.values(name).length > 0);
  if (manager === "disabled" && limit !== undefined) {
    throw new UsageError(
      `Cannot use --${limit} with --cgroup-manager disabled: only a cgroup can limit that`,
    );
  }
  return {
    ...(cpu !== undefined && { cpus: count(cpu, "cpu", 0.01) }),
    ...(cpuset !== undefined && { cpuset: readCpuset(cpuset) }),
    ...(memory !== undefined && { memoryBytes: sizeBytes(memory, "memory") }),
    ...(swap !== undefined && { memorySwapBytes: swap === "-1" ? -1 : sizeBytes(swap, "memory-swap") }),
    ...(pids !== undefined && { pids: count(pids, "pids", 1) }),
    ...(ioMax.length > 0 && { ioMax }),
    ...(manager !== undefined && { cgroupManager: readManager(manager) }),
  };
}

/** `/dev/sda:rbps=1MB,wiops=100`; the device may have a colon of its own. */
function readIoMax(text: string): IoMax {
  const [, device, rates] = /^(.+):([^:]+)$/.exec(text) ?? [];
  const found: Partial<Record<(typeof KEYS)[number], number>> = {};
  for (const each of rates?.split(",") ?? []) {
    const [, key, value = ""] = /^(\w+)=(.+)$/.exec(each) ?? [];
    const known = KEYS.find((one) => one === key);
    if (known === undefined || found[known] !== undefined) throw noIoMax(text);
    found[known] = known.endsWith("bps") ? sizeBytes(value, "io-max") : count(value, "io-max", 1);
  }
  if (device === undefined) throw noIoMax(text);
  return { device, ...found };
}

function noIoMax(text: string): UsageError {
  return new UsageError(`Cannot use "${text}" for --io-max: write it as /dev/sda:rbps=10MB,wiops=100`);
}

function readCpuset(text: string): string {
  if (/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text)) return text;
  throw new UsageError(`Cannot use "${text}" for --cpuset: write it as 0, 0-2 or 0-2,7`);
}

function readManager(text: string): (typeof MANAGERS)[number] {
  const known = MANAGERS.find((one) => one === text);
  if (known !== undefined) return known;
  throw new UsageError(`Cannot use "${text}" for --cgroup-manager: it is ${MANAGERS.join(" or ")}`);
}
