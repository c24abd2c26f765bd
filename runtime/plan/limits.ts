import type { Int64, Scheduler } from "../spec/config.ts";
import { parseCpuList } from "./cpu_list.ts";
import type { Context } from "./context.ts";
import { type Bytes, named, type Op, op, type Struct } from "./op.ts";

/** Resource numbers of prlimit(2) (asm-generic/resource.h). */
export const RLIMIT = {
  RLIMIT_CPU: 0,
  RLIMIT_FSIZE: 1,
  RLIMIT_DATA: 2,
  RLIMIT_STACK: 3,
  RLIMIT_CORE: 4,
  RLIMIT_RSS: 5,
  RLIMIT_NPROC: 6,
  RLIMIT_NOFILE: 7,
  RLIMIT_MEMLOCK: 8,
  RLIMIT_AS: 9,
  RLIMIT_LOCKS: 10,
  RLIMIT_SIGPENDING: 11,
  RLIMIT_MSGQUEUE: 12,
  RLIMIT_NICE: 13,
  RLIMIT_RTPRIO: 14,
  RLIMIT_RTTIME: 15,
} as const;

/**
 * Raises the launcher's hard limits to those of the spec where they are lower, for init that inherits them: in a user
 * namespace of its own it has no right to (setrlimit(2)). What the launcher may not raise either, init tells of.
 */
export function* raiseLimits({ spec, host, namespace }: Context): Iterable<Op> {
  if (!host.privileged || namespace("user") === "shared") return;
  for (const { type, hard } of spec.process?.rlimits ?? []) {
    const does = `let ${type} go up to ${hard}`;
    const resource = named(type, RLIMIT[type]);
    // The limits of the launcher, soft and hard, and behind them what is asked: a soft limit above it is no limit.
    const bytes = new Uint8Array(24);
    new DataView(bytes.buffer).setBigUint64(16, BigInt.asUintN(64, BigInt(hard)), true);
    const limits: Bytes = { bytes, shows: `{cur, max, ${hard}}` };
    yield op(does, "prlimit64", [0, resource, 0, limits]);
    yield op(does, "prlimit64", [0, resource, { inside: limits, offset: 8 }, 0], {
      ignore: ["EINVAL", "EPERM"],
    });
  }
}

/** Sets the limits of the spec. */
export function* rlimits({ spec, host, confinement }: Context): Iterable<Op> {
  const limits = spec.process?.rlimits ?? [];
  for (const { type, soft, hard } of limits) {
    yield prlimit(`set ${type} to ${soft}:${hard}`, type, soft, hard);
  }
  const ceilings = confinement?.rlimits ?? [];
  for (const { type, soft, hard } of ceilings) {
    // Only who may raise no limit gets EPERM, where the caller's own is lower already.
    yield { ...prlimit(`bound ${type} by ${soft}:${hard}`, type, soft, hard), ignore: ["EPERM"] };
  }
  if (![...limits, ...ceilings].some(({ type }) => type === "RLIMIT_NOFILE")) {
    // Deno raises its soft limit to the hard one; the program has what the caller had.
    const { soft, hard } = host.openFiles;
    yield prlimit(`give RLIMIT_NOFILE its usual value ${soft}`, "RLIMIT_NOFILE", soft, hard);
  }
}

function prlimit(does: string, type: keyof typeof RLIMIT, soft: Int64, hard: Int64): Op {
  const limit: Struct = { struct: "rlimit", members: [["cur", 8, BigInt(soft)], ["max", 8, BigInt(hard)]] };
  return op(does, "prlimit64", [0, named(type, RLIMIT[type]), limit, 0]);
}

const POLICY = {
  SCHED_OTHER: 0,
  SCHED_FIFO: 1,
  SCHED_RR: 2,
  SCHED_BATCH: 3,
  SCHED_ISO: 4,
  SCHED_IDLE: 5,
  SCHED_DEADLINE: 6,
} as const;
const POLICY_FLAG = {
  SCHED_FLAG_RESET_ON_FORK: 1,
  SCHED_FLAG_RECLAIM: 2,
  SCHED_FLAG_DL_OVERRUN: 4,
  SCHED_FLAG_KEEP_POLICY: 8,
  SCHED_FLAG_KEEP_PARAMS: 0x10,
  SCHED_FLAG_UTIL_CLAMP_MIN: 0x20,
  SCHED_FLAG_UTIL_CLAMP_MAX: 0x40,
} as const;
const IO_CLASS = { IOPRIO_CLASS_RT: 1, IOPRIO_CLASS_BE: 2, IOPRIO_CLASS_IDLE: 3 } as const;
/** Execution domains by name, as personality(2) takes them. */
export const PERSONALITY = { LINUX: 0, LINUX32: 8 } as const;
const MEMORY_MODE = {
  MPOL_DEFAULT: 0,
  MPOL_PREFERRED: 1,
  MPOL_BIND: 2,
  MPOL_INTERLEAVE: 3,
  MPOL_LOCAL: 4,
  MPOL_PREFERRED_MANY: 5,
  MPOL_WEIGHTED_INTERLEAVE: 6,
} as const;
const MEMORY_FLAG = {
  MPOL_F_NUMA_BALANCING: 1 << 13,
  MPOL_F_RELATIVE_NODES: 1 << 14,
  MPOL_F_STATIC_NODES: 1 << 15,
} as const;

/** Scheduler, I/O priority, memory policy and personality of the spec. */
export function* scheduling({ spec }: Context): Iterable<Op> {
  const { scheduler, ioPriority } = spec.process ?? {};
  const { personality, memoryPolicy } = spec.linux ?? {};
  if (scheduler) {
    yield op(`set the scheduler to ${scheduler.policy}`, "sched_setattr", [0, schedAttr(scheduler), 0]);
  }
  if (ioPriority) {
    const { class: name, priority = 0 } = ioPriority;
    const value = named(`${name}:${priority}`, (IO_CLASS[name] << 13) | priority);
    yield op(`set the I/O priority to ${name}:${priority}`, "ioprio_set", [
      named("IOPRIO_WHO_PROCESS", 1),
      0,
      value,
    ]);
  }
  if (memoryPolicy) {
    const { mode, nodes, flags = [] } = memoryPolicy;
    const value = flags.reduce<number>((sum, flag) => sum | MEMORY_FLAG[flag], MEMORY_MODE[mode]);
    const mask = nodes === undefined || nodes === "" ? undefined : bitMask(parseCpuList(nodes), nodes);
    // The kernel takes the mask for one bit less than it is told.
    const bits = mask ? mask.bytes.length * 8 + 1 : 0;
    yield op(`set the memory policy to ${mode}`, "set_mempolicy", [
      named([mode, ...flags].join("|"), value),
      mask ?? 0,
      bits,
    ]);
  }
  if (personality) {
    const { domain } = personality;
    yield op(`set the personality to ${domain}`, "personality", [named(domain, PERSONALITY[domain])]);
  }
}

/** The processors of a program that joins a sandbox: before it is in its cgroups, and afterwards. */
export function* execAffinity({ spec }: Context, when: "initial" | "final"): Iterable<Op> {
  const cpus = spec.process?.execCPUAffinity?.[when];
  if (!cpus) return;
  const mask = bitMask(parseCpuList(cpus), cpus);
  yield op(`run on CPUs ${cpus}`, "sched_setaffinity", [0, mask.bytes.length, mask]);
}

const ALL_CPUS: Bytes = { bytes: new Uint8Array(1024).fill(0xff), shows: "{all}" };

/** Every processor that its cgroups leave it, whatever those of the caller are. */
export function everyCpu(): Op {
  return op("run on every CPU", "sched_setaffinity", [0, ALL_CPUS.bytes.length, ALL_CPUS]);
}

/** `struct sched_attr` of sched_setattr(2), 48 bytes. */
function schedAttr(
  { policy, nice = 0, priority = 0, flags = [], runtime = 0, deadline = 0, period = 0 }: Scheduler,
): Struct {
  return {
    struct: "sched_attr",
    members: [
      ["size", 4, 48],
      ["sched_policy", 4, named(policy, POLICY[policy])],
      ["sched_flags", 8, flags.reduce<number>((sum, flag) => sum | POLICY_FLAG[flag], 0)],
      ["sched_nice", 4, nice],
      ["sched_priority", 4, priority],
      ["sched_runtime", 8, BigInt(runtime)],
      ["sched_deadline", 8, BigInt(deadline)],
      ["sched_period", 8, BigInt(period)],
    ],
  };
}

function bitMask(numbers: readonly number[], shows: string): Bytes {
  const bytes = new Uint8Array(Math.ceil((Math.max(0, ...numbers) + 1) / 64) * 8);
  for (const number of numbers) bytes[number >> 3]! |= 1 << (number & 7);
  return { bytes, shows: `{${shows}}` };
}
