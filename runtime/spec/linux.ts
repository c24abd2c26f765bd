/** The OCI runtime specification 1.3, config.json: the `linux` object. */

import type { IdMapping, Int64, StringMap } from "./config.ts";
import type {
  Clock,
  DeviceRuleType,
  DeviceType,
  MemoryPolicyFlag,
  MemoryPolicyMode,
  NamespaceType,
  PersonalityDomain,
  Propagation,
  SeccompAction,
  SeccompArch,
  SeccompFlag,
  SeccompOperator,
} from "./words.ts";

/** What only Linux has. */
export interface Linux {
  /** Namespaces of its own or of others; of a type that is not listed it has the host's. */
  readonly namespaces?: readonly Namespace[];
  /** Users of the user namespace. */
  readonly uidMappings?: readonly IdMapping[];
  /** Groups of the user namespace. */
  readonly gidMappings?: readonly IdMapping[];
  /** Offsets of the clocks of the time namespace. */
  readonly timeOffsets?: { readonly [clock in Clock]?: TimeOffset };
  /** Device nodes beside those that every sandbox has. */
  readonly devices?: readonly Device[];
  /** By the name of the device on the host. */
  readonly netDevices?: StringMap<NetDevice>;
  /** Path of the cgroup: below the cgroup file system if absolute, else where the runtime chooses. */
  readonly cgroupsPath?: string;
  /** Limits that cgroups enforce. */
  readonly resources?: Resources;
  /** Whether mounts travel between the root mount and others. */
  readonly rootfsPropagation?: Propagation;
  /** The filter of system calls. */
  readonly seccomp?: Seccomp;
  /** Kernel parameters of its namespaces: values by their names, such as `net.ipv4.ip_forward`. */
  readonly sysctl?: StringMap<string>;
  /** Absolute paths inside that cannot be read. */
  readonly maskedPaths?: readonly string[];
  /** Absolute paths inside that cannot be written to. */
  readonly readonlyPaths?: readonly string[];
  /** SELinux context of the mounts. */
  readonly mountLabel?: string;
  /** Its class in Intel's Resource Director. */
  readonly intelRdt?: IntelRdt;
  /** From which NUMA nodes it gets memory. */
  readonly memoryPolicy?: MemoryPolicy;
  /** Its execution domain. */
  readonly personality?: Personality;
}

/** A namespace to make or, with a path, to join. */
export interface Namespace {
  /** Which kind. */
  readonly type: NamespaceType;
  /** Absolute path on the host of a namespace to join; a new one is made where it is missing. */
  readonly path?: string;
}

/** How far a clock of the sandbox is ahead of the host's. */
export interface TimeOffset {
  /** Whole seconds; below 0 is behind. */
  readonly secs?: Int64;
  /** Nanoseconds to add to `secs`. */
  readonly nanosecs?: number;
}

/** A device node to make. */
export interface Device {
  /** Which kind of node. */
  readonly type: DeviceType;
  /** Absolute path inside, in /dev or elsewhere. */
  readonly path: string;
  /** Major number; a fifo has none. */
  readonly major?: Int64;
  /** Minor number; a fifo has none. */
  readonly minor?: Int64;
  /** Permission bits only. */
  readonly fileMode?: number;
  /** Owner, as an id inside. */
  readonly uid?: number;
  /** Group, as an id inside. */
  readonly gid?: number;
}

/** A network device to move in from the host. */
export interface NetDevice {
  /** Its name inside; the host's where it is missing. */
  readonly name?: string;
}

/** Limits that cgroups enforce. */
export interface Resources {
  /** Values by the name of the file in the cgroup v2 hierarchy. */
  readonly unified?: StringMap<string>;
  /** Rules in the order in which they are applied. */
  readonly devices?: readonly DeviceRule[];
  /** Memory and swap. */
  readonly memory?: MemoryLimits;
  /** Processor time and processors. */
  readonly cpu?: CpuLimits;
  /** Number of tasks. */
  readonly pids?: PidsLimits;
  /** Block devices. */
  readonly blockIO?: BlockIoLimits;
  /** Huge pages, one entry for each size. */
  readonly hugepageLimits?: readonly HugepageLimit[];
  /** Marks of the traffic. */
  readonly network?: NetworkPriorities;
  /** By the name of the device. */
  readonly rdma?: StringMap<RdmaLimits>;
}

/** Allows or denies devices; what is missing means all. */
export interface DeviceRule {
  /** Whether the rule allows or denies. */
  readonly allow: boolean;
  /** Kind of device. */
  readonly type?: DeviceRuleType;
  /** Major number. */
  readonly major?: Int64;
  /** Minor number. */
  readonly minor?: Int64;
  /** Some of `r`, `w` and `m`. */
  readonly access?: string;
}

/** Limits in bytes, -1 for none. */
export interface MemoryLimits {
  /** Most memory; the kernel kills where more is needed. */
  readonly limit?: Int64;
  /** Memory that is left to it when the host runs short: a soft limit. */
  readonly reservation?: Int64;
  /** Memory and swap together. */
  readonly swap?: Int64;
  /** Kernel memory (cgroup v1; discouraged). */
  readonly kernel?: Int64;
  /** Buffers of TCP in the kernel (cgroup v1; discouraged). */
  readonly kernelTCP?: Int64;
  /** How readily its memory is swapped out, from 0 to 100 (cgroup v1); no bytes. */
  readonly swappiness?: Int64;
  /** Whether tasks wait at the limit instead of being killed (cgroup v1). @default {false} */
  readonly disableOOMKiller?: boolean;
  /** Whether cgroups below count towards these limits (cgroup v1). */
  readonly useHierarchy?: boolean;
  /** Whether a new limit below the present usage is refused, where cgroup v2 would kill. */
  readonly checkBeforeUpdate?: boolean;
}

/** Processor time, in microseconds, and processors. */
export interface CpuLimits {
  /** Weight against other cgroups when processors are scarce; 1024 is usual. */
  readonly shares?: Int64;
  /** Microseconds that all its tasks together may run in each `period`; -1 for no limit. */
  readonly quota?: Int64;
  /** Unused microseconds that may be saved up beyond `quota`. */
  readonly burst?: Int64;
  /** Length of a period in microseconds. */
  readonly period?: Int64;
  /** Microseconds that its real-time tasks may run in each `realtimePeriod` (cgroup v1). */
  readonly realtimeRuntime?: Int64;
  /** Length of a period of real-time tasks in microseconds (cgroup v1). */
  readonly realtimePeriod?: Int64;
  /** Processors that it may run on, such as `0-3,7`. */
  readonly cpus?: string;
  /** NUMA nodes that its memory may come from, such as `0-3,7`. */
  readonly mems?: string;
  /** 1 for the lowest weight of all (SCHED_IDLE), 0 for the usual. */
  readonly idle?: Int64;
}

/** Limit of tasks, -1 for none. */
export interface PidsLimits {
  /** Most processes and threads at a time. */
  readonly limit: Int64;
}

/** Weights and rates of block devices. */
export interface BlockIoLimits {
  /** Weight on every device, from 10 to 1000; 0 leaves it alone. */
  readonly weight?: number;
  /** Weight of its own tasks against the cgroups below it, from 10 to 1000 (cgroup v1). */
  readonly leafWeight?: number;
  /** Weights on single devices. */
  readonly weightDevice?: readonly BlockIoWeight[];
  /** Most bytes a second to read. */
  readonly throttleReadBpsDevice?: readonly BlockIoRate[];
  /** Most bytes a second to write. */
  readonly throttleWriteBpsDevice?: readonly BlockIoRate[];
  /** Most reads a second. */
  readonly throttleReadIOPSDevice?: readonly BlockIoRate[];
  /** Most writes a second. */
  readonly throttleWriteIOPSDevice?: readonly BlockIoRate[];
}

/** Weights of one block device. */
export interface BlockIoWeight {
  /** Major number. */
  readonly major: Int64;
  /** Minor number. */
  readonly minor: Int64;
  /** Weight on this device, from 10 to 1000. */
  readonly weight?: number;
  /** Weight of its own tasks on this device, from 10 to 1000 (cgroup v1). */
  readonly leafWeight?: number;
}

/** A rate of one block device, in bytes or operations a second. */
export interface BlockIoRate {
  /** Major number. */
  readonly major: Int64;
  /** Minor number. */
  readonly minor: Int64;
  /** Most bytes or operations a second. */
  readonly rate: Int64;
}

/** A limit, in bytes, of huge pages of one size. */
export interface HugepageLimit {
  /** Such as `2MB`. */
  readonly pageSize: string;
  /** Most bytes in pages of this size. */
  readonly limit: Int64;
}

/** Marks of the traffic, by class and by interface (cgroup v1). */
export interface NetworkPriorities {
  /** Class that its packets are tagged with, for traffic control. */
  readonly classID?: number;
  /** Priorities by interface, as the host names it. */
  readonly priorities?: readonly { readonly name: string; readonly priority: number }[];
}

/** Limits of one RDMA device. */
export interface RdmaLimits {
  /** Most handles. */
  readonly hcaHandles?: number;
  /** Most objects. */
  readonly hcaObjects?: number;
}

/** A filter of system calls. */
export interface Seccomp {
  /** What happens to a call that no rule is about. */
  readonly defaultAction: SeccompAction;
  /** The errno of `defaultAction`, where that takes one. @default {1}, EPERM */
  readonly defaultErrnoRet?: number;
  /** Architectures whose calls the rules are for, beside the machine's own. */
  readonly architectures?: readonly SeccompArch[];
  /** Flags that the filter is installed with. */
  readonly flags?: readonly SeccompFlag[];
  /** Path of the stream socket of the agent that answers `SCMP_ACT_NOTIFY`. */
  readonly listenerPath?: string;
  /** Text that the agent gets as it is; needs `listenerPath`. */
  readonly listenerMetadata?: string;
  /** The rules. */
  readonly syscalls?: readonly SeccompRule[];
}

/** What to do about some system calls. */
export interface SeccompRule {
  /** Names of calls, at least one. */
  readonly names: readonly string[];
  /** What happens to them. */
  readonly action: SeccompAction;
  /** The errno of `action`, where that takes one. @default {1}, EPERM */
  readonly errnoRet?: number;
  /** Conditions on the arguments; without them the rule is about every call of these names. */
  readonly args?: readonly SeccompArg[];
}

/** A condition on one argument of a system call. */
export interface SeccompArg {
  /** Which argument, from 0 to 5. */
  readonly index: number;
  /** What it is compared with; the mask of `SCMP_CMP_MASKED_EQ`. */
  readonly value: Int64;
  /** What the masked argument is compared with; for `SCMP_CMP_MASKED_EQ` only. @default {0} */
  readonly valueTwo?: Int64;
  /** How it is compared. */
  readonly op: SeccompOperator;
}

/** Cache and memory bandwidth of Intel's Resource Director. */
export interface IntelRdt {
  /** Class of service, a directory of resctrl; `/` is the default class, missing is one of its own. */
  readonly closID?: string;
  /** Lines for the schemata file, written after the two below. */
  readonly schemata?: readonly string[];
  /** Share of the L3 caches, as a line that begins with `L3:`. */
  readonly l3CacheSchema?: string;
  /** Memory bandwidth, as a line that begins with `MB:`. */
  readonly memBwSchema?: string;
  /** Whether it gets a monitoring group of its own. */
  readonly enableMonitoring?: boolean;
}

/** Arguments of set_mempolicy(2). */
export interface MemoryPolicy {
  /** The policy. */
  readonly mode: MemoryPolicyMode;
  /** A list such as `0-3,7`. */
  readonly nodes?: string;
  /** Flags of the policy. */
  readonly flags?: readonly MemoryPolicyFlag[];
}

/** The execution domain of personality(2). */
export interface Personality {
  /** The domain; `LINUX32` makes uname(2) show a 32-bit machine. */
  readonly domain: PersonalityDomain;
  /** Further flags; the specification knows none yet. */
  readonly flags?: readonly string[];
}
