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
  readonly namespaces?: readonly Namespace[];
  readonly uidMappings?: readonly IdMapping[];
  readonly gidMappings?: readonly IdMapping[];
  readonly timeOffsets?: { readonly [clock in Clock]?: TimeOffset };
  readonly devices?: readonly Device[];
  /** By the name of the device on the host. */
  readonly netDevices?: StringMap<NetDevice>;
  readonly cgroupsPath?: string;
  readonly resources?: Resources;
  readonly rootfsPropagation?: Propagation;
  readonly seccomp?: Seccomp;
  readonly sysctl?: StringMap<string>;
  readonly maskedPaths?: readonly string[];
  readonly readonlyPaths?: readonly string[];
  readonly mountLabel?: string;
  readonly intelRdt?: IntelRdt;
  readonly memoryPolicy?: MemoryPolicy;
  readonly personality?: Personality;
}

/** A namespace to make or, with a path, to join. */
export interface Namespace {
  readonly type: NamespaceType;
  readonly path?: string;
}

/** How far a clock of the sandbox is ahead of the host's. */
export interface TimeOffset {
  readonly secs?: Int64;
  readonly nanosecs?: number;
}

/** A device node to make. */
export interface Device {
  readonly type: DeviceType;
  readonly path: string;
  readonly major?: Int64;
  readonly minor?: Int64;
  /** Permission bits only. */
  readonly fileMode?: number;
  readonly uid?: number;
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
  readonly memory?: MemoryLimits;
  readonly cpu?: CpuLimits;
  readonly pids?: PidsLimits;
  readonly blockIO?: BlockIoLimits;
  readonly hugepageLimits?: readonly HugepageLimit[];
  readonly network?: NetworkPriorities;
  /** By the name of the device. */
  readonly rdma?: StringMap<RdmaLimits>;
}

/** Allows or denies devices; what is missing means all. */
export interface DeviceRule {
  readonly allow: boolean;
  readonly type?: DeviceRuleType;
  readonly major?: Int64;
  readonly minor?: Int64;
  /** Some of `r`, `w` and `m`. */
  readonly access?: string;
}

/** Limits in bytes, -1 for none. */
export interface MemoryLimits {
  readonly limit?: Int64;
  readonly reservation?: Int64;
  /** Memory and swap together. */
  readonly swap?: Int64;
  readonly kernel?: Int64;
  readonly kernelTCP?: Int64;
  readonly swappiness?: Int64;
  readonly disableOOMKiller?: boolean;
  readonly useHierarchy?: boolean;
  readonly checkBeforeUpdate?: boolean;
}

/** Processor time, in microseconds, and processors. */
export interface CpuLimits {
  readonly shares?: Int64;
  readonly quota?: Int64;
  readonly burst?: Int64;
  readonly period?: Int64;
  readonly realtimeRuntime?: Int64;
  readonly realtimePeriod?: Int64;
  readonly cpus?: string;
  readonly mems?: string;
  readonly idle?: Int64;
}

/** Limit of tasks, -1 for none. */
export interface PidsLimits {
  readonly limit: Int64;
}

/** Weights and rates of block devices. */
export interface BlockIoLimits {
  readonly weight?: number;
  readonly leafWeight?: number;
  readonly weightDevice?: readonly BlockIoWeight[];
  readonly throttleReadBpsDevice?: readonly BlockIoRate[];
  readonly throttleWriteBpsDevice?: readonly BlockIoRate[];
  readonly throttleReadIOPSDevice?: readonly BlockIoRate[];
  readonly throttleWriteIOPSDevice?: readonly BlockIoRate[];
}

/** Weights of one block device. */
export interface BlockIoWeight {
  readonly major: Int64;
  readonly minor: Int64;
  readonly weight?: number;
  readonly leafWeight?: number;
}

/** A rate of one block device, in bytes or operations a second. */
export interface BlockIoRate {
  readonly major: Int64;
  readonly minor: Int64;
  readonly rate: Int64;
}

/** A limit, in bytes, of huge pages of one size. */
export interface HugepageLimit {
  /** Such as `2MB`. */
  readonly pageSize: string;
  readonly limit: Int64;
}

/** Marks of the traffic, by class and by interface (cgroup v1). */
export interface NetworkPriorities {
  readonly classID?: number;
  readonly priorities?: readonly { readonly name: string; readonly priority: number }[];
}

/** Limits of one RDMA device. */
export interface RdmaLimits {
  readonly hcaHandles?: number;
  readonly hcaObjects?: number;
}

/** A filter of system calls. */
export interface Seccomp {
  readonly defaultAction: SeccompAction;
  readonly defaultErrnoRet?: number;
  readonly architectures?: readonly SeccompArch[];
  readonly flags?: readonly SeccompFlag[];
  readonly listenerPath?: string;
  readonly listenerMetadata?: string;
  readonly syscalls?: readonly SeccompRule[];
}

/** What to do about some system calls. */
export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: SeccompAction;
  readonly errnoRet?: number;
  readonly args?: readonly SeccompArg[];
}

/** A condition on one argument of a system call. */
export interface SeccompArg {
  readonly index: number;
  readonly value: Int64;
  readonly valueTwo?: Int64;
  readonly op: SeccompOperator;
}

/** Cache and memory bandwidth of Intel's Resource Director. */
export interface IntelRdt {
  readonly closID?: string;
  readonly schemata?: readonly string[];
  readonly l3CacheSchema?: string;
  readonly memBwSchema?: string;
  readonly enableMonitoring?: boolean;
}

/** Arguments of set_mempolicy(2). */
export interface MemoryPolicy {
  readonly mode: MemoryPolicyMode;
  /** A list such as `0-3,7`. */
  readonly nodes?: string;
  readonly flags?: readonly MemoryPolicyFlag[];
}

/** The execution domain of personality(2). */
export interface Personality {
  readonly domain: PersonalityDomain;
  readonly flags?: readonly string[];
}
