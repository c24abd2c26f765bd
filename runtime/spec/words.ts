/** The closed word sets of the OCI runtime specification 1.3: a constant array and its union each. */

/** Kinds of namespaces, as `linux.namespaces[].type` spells them. */
export const NAMESPACES = ["mount", "pid", "network", "uts", "ipc", "user", "cgroup", "time"] as const;
/** A kind of namespace. */
export type NamespaceType = (typeof NAMESPACES)[number];

/** Every capability the kernel knows, in the order of their numbers: the index is the number. */
export const CAPABILITIES = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_DAC_READ_SEARCH",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETPCAP",
  "CAP_LINUX_IMMUTABLE",
  "CAP_NET_BIND_SERVICE",
  "CAP_NET_BROADCAST",
  "CAP_NET_ADMIN",
  "CAP_NET_RAW",
  "CAP_IPC_LOCK",
  "CAP_IPC_OWNER",
  "CAP_SYS_MODULE",
  "CAP_SYS_RAWIO",
  "CAP_SYS_CHROOT",
  "CAP_SYS_PTRACE",
  "CAP_SYS_PACCT",
  "CAP_SYS_ADMIN",
  "CAP_SYS_BOOT",
  "CAP_SYS_NICE",
  "CAP_SYS_RESOURCE",
  "CAP_SYS_TIME",
  "CAP_SYS_TTY_CONFIG",
  "CAP_MKNOD",
  "CAP_LEASE",
  "CAP_AUDIT_WRITE",
  "CAP_AUDIT_CONTROL",
  "CAP_SETFCAP",
  "CAP_MAC_OVERRIDE",
  "CAP_MAC_ADMIN",
  "CAP_SYSLOG",
  "CAP_WAKE_ALARM",
  "CAP_BLOCK_SUSPEND",
  "CAP_AUDIT_READ",
  "CAP_PERFMON",
  "CAP_BPF",
  "CAP_CHECKPOINT_RESTORE",
] as const;
/** The name of a capability. */
export type CapabilityName = (typeof CAPABILITIES)[number];
/** Whether Linux has a capability of this name. */
export function isCapability(name: string): name is CapabilityName {
  return (CAPABILITIES as readonly string[]).includes(name);
}

/** The five sets of capabilities of a process. */
export const CAPABILITY_SETS = ["bounding", "permitted", "effective", "inheritable", "ambient"] as const;
/** A set of capabilities of a process. */
export type CapabilitySet = (typeof CAPABILITY_SETS)[number];

/** Resource limits of getrlimit(2). */
export const RLIMITS = [
  "RLIMIT_AS",
  "RLIMIT_CORE",
  "RLIMIT_CPU",
  "RLIMIT_DATA",
  "RLIMIT_FSIZE",
  "RLIMIT_LOCKS",
  "RLIMIT_MEMLOCK",
  "RLIMIT_MSGQUEUE",
  "RLIMIT_NICE",
  "RLIMIT_NOFILE",
  "RLIMIT_NPROC",
  "RLIMIT_RSS",
  "RLIMIT_RTPRIO",
  "RLIMIT_RTTIME",
  "RLIMIT_SIGPENDING",
  "RLIMIT_STACK",
] as const;
/** A resource limit. */
export type RlimitType = (typeof RLIMITS)[number];

/** Scheduling policies of sched_setattr(2). */
export const SCHEDULER_POLICIES = [
  "SCHED_OTHER",
  "SCHED_FIFO",
  "SCHED_RR",
  "SCHED_BATCH",
  "SCHED_ISO",
  "SCHED_IDLE",
  "SCHED_DEADLINE",
] as const;
/** A scheduling policy. */
export type SchedulerPolicy = (typeof SCHEDULER_POLICIES)[number];

/** Scheduling flags of sched_setattr(2). */
export const SCHEDULER_FLAGS = [
  "SCHED_FLAG_RESET_ON_FORK",
  "SCHED_FLAG_RECLAIM",
  "SCHED_FLAG_DL_OVERRUN",
  "SCHED_FLAG_KEEP_POLICY",
  "SCHED_FLAG_KEEP_PARAMS",
  "SCHED_FLAG_UTIL_CLAMP_MIN",
  "SCHED_FLAG_UTIL_CLAMP_MAX",
] as const;
/** A scheduling flag. */
export type SchedulerFlag = (typeof SCHEDULER_FLAGS)[number];

/** Classes of ioprio_set(2). */
export const IO_PRIORITY_CLASSES = ["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"] as const;
/** An I/O scheduling class: real-time, best effort or idle. */
export type IoPriorityClass = (typeof IO_PRIORITY_CLASSES)[number];

/** Kinds of hooks, in the order in which a sandbox meets them. */
export const HOOKS = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const;
/** A kind of hook. */
export type HookName = (typeof HOOKS)[number];

/** Kinds of device nodes: character, unbuffered character, block and fifo. */
export const DEVICE_TYPES = ["c", "u", "b", "p"] as const;
/** A kind of device node. */
export type DeviceType = (typeof DEVICE_TYPES)[number];

/** Kinds of devices in a cgroup rule: all, character and block. */
export const DEVICE_RULE_TYPES = ["a", "c", "b"] as const;
/** A kind of device in a cgroup rule. */
export type DeviceRuleType = (typeof DEVICE_RULE_TYPES)[number];

/**
 * Propagation of the root mount. The recursive words are not in the specification: runc takes them and
 * engines write them.
 */
export const PROPAGATIONS = [
  "shared",
  "slave",
  "private",
  "unbindable",
  "rshared",
  "rslave",
  "rprivate",
  "runbindable",
] as const;
/** A propagation of the root mount. */
export type Propagation = (typeof PROPAGATIONS)[number];

/** Clocks of a time namespace. */
export const CLOCKS = ["monotonic", "boottime"] as const;
/** A clock of a time namespace. */
export type Clock = (typeof CLOCKS)[number];

/** Execution domains of personality(2). */
export const PERSONALITY_DOMAINS = ["LINUX", "LINUX32"] as const;
/** An execution domain. */
export type PersonalityDomain = (typeof PERSONALITY_DOMAINS)[number];

/** NUMA policies of set_mempolicy(2). */
export const MEMORY_POLICY_MODES = [
  "MPOL_DEFAULT",
  "MPOL_BIND",
  "MPOL_INTERLEAVE",
  "MPOL_WEIGHTED_INTERLEAVE",
  "MPOL_PREFERRED",
  "MPOL_PREFERRED_MANY",
  "MPOL_LOCAL",
] as const;
/** A NUMA policy. */
export type MemoryPolicyMode = (typeof MEMORY_POLICY_MODES)[number];

/** Flags of set_mempolicy(2). */
export const MEMORY_POLICY_FLAGS = [
  "MPOL_F_NUMA_BALANCING",
  "MPOL_F_RELATIVE_NODES",
  "MPOL_F_STATIC_NODES",
] as const;
/** A flag of a NUMA policy. */
export type MemoryPolicyFlag = (typeof MEMORY_POLICY_FLAGS)[number];

/** What a seccomp filter does about a call. */
export const SECCOMP_ACTIONS = [
  "SCMP_ACT_KILL",
  "SCMP_ACT_KILL_PROCESS",
  "SCMP_ACT_KILL_THREAD",
  "SCMP_ACT_TRAP",
  "SCMP_ACT_ERRNO",
  "SCMP_ACT_TRACE",
  "SCMP_ACT_ALLOW",
  "SCMP_ACT_LOG",
  "SCMP_ACT_NOTIFY",
] as const;
/** What a seccomp filter does about a call. */
export type SeccompAction = (typeof SECCOMP_ACTIONS)[number];

/** How a seccomp filter compares an argument. */
export const SECCOMP_OPERATORS = [
  "SCMP_CMP_NE",
  "SCMP_CMP_LT",
  "SCMP_CMP_LE",
  "SCMP_CMP_EQ",
  "SCMP_CMP_GE",
  "SCMP_CMP_GT",
  "SCMP_CMP_MASKED_EQ",
] as const;
/** How a seccomp filter compares an argument. */
export type SeccompOperator = (typeof SECCOMP_OPERATORS)[number];

/** Architectures of system calls. */
export const SECCOMP_ARCHES = [
  "SCMP_ARCH_X86",
  "SCMP_ARCH_X86_64",
  "SCMP_ARCH_X32",
  "SCMP_ARCH_ARM",
  "SCMP_ARCH_AARCH64",
  "SCMP_ARCH_LOONGARCH64",
  "SCMP_ARCH_M68K",
  "SCMP_ARCH_MIPS",
  "SCMP_ARCH_MIPS64",
  "SCMP_ARCH_MIPS64N32",
  "SCMP_ARCH_MIPSEL",
  "SCMP_ARCH_MIPSEL64",
  "SCMP_ARCH_MIPSEL64N32",
  "SCMP_ARCH_PPC",
  "SCMP_ARCH_PPC64",
  "SCMP_ARCH_PPC64LE",
  "SCMP_ARCH_S390",
  "SCMP_ARCH_S390X",
  "SCMP_ARCH_SH",
  "SCMP_ARCH_SHEB",
  "SCMP_ARCH_PARISC",
  "SCMP_ARCH_PARISC64",
  "SCMP_ARCH_RISCV64",
] as const;
/** An architecture of system calls. */
export type SeccompArch = (typeof SECCOMP_ARCHES)[number];

/** Flags of seccomp(2). */
export const SECCOMP_FLAGS = [
  "SECCOMP_FILTER_FLAG_TSYNC",
  "SECCOMP_FILTER_FLAG_LOG",
  "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
  "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
] as const;
/** A flag of a seccomp filter. */
export type SeccompFlag = (typeof SECCOMP_FLAGS)[number];
