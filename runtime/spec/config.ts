/** The OCI runtime specification 1.3, config.json: what a bundle asks for. The Linux part is in linux.ts. */

import type { Linux } from "./linux.ts";
import type {
  CapabilitySet,
  HookName,
  IoPriorityClass,
  RlimitType,
  SchedulerFlag,
  SchedulerPolicy,
} from "./words.ts";

export type * from "./linux.ts";
export * from "./words.ts";

/** A 64-bit integer: a number where that is exact, a bigint beyond 2^53. */
export type Int64 = number | bigint;

/** A map whose keys the bundle chose. A decoded one has no prototype: `map["constructor"]` is undefined. */
export type StringMap<T> = { readonly [key: string]: T };

/** A whole config.json; properties unknown to the specification are not in it. */
export interface Spec {
  /** The version of the specification that the bundle keeps to, 1.y.z; what versions after 1.3 have added is ignored with a warning. */
  readonly ociVersion: string;
  /** Where the root file system lies. */
  readonly root: Root;
  /** What is mounted over the root file system, in this order. */
  readonly mounts?: readonly Mount[];
  /** Needed by the time the sandbox is started. */
  readonly process?: Process;
  /** The host name inside; needs a uts namespace. */
  readonly hostname?: string;
  /** The NIS domain name inside; needs a uts namespace. */
  readonly domainname?: string;
  /** Programs to run at moments of the sandbox's life. */
  readonly hooks?: Hooks;
  /** Free words for tools that handle the bundle. */
  readonly annotations?: StringMap<string>;
  /** What only Linux has. */
  readonly linux?: Linux;
}

/** The root filesystem. */
export interface Root {
  /** Absolute, or relative to the bundle. */
  readonly path: string;
  /** Whether nothing can be written to it. @default {false} */
  readonly readonly?: boolean;
}

/** A filesystem to mount inside the sandbox. */
export interface Mount {
  /** Path inside the sandbox; a relative one starts at `/`. */
  readonly destination: string;
  /** A path (relative to the bundle) for a bind mount, else a device or a dummy. */
  readonly source?: string;
  /** A file system type of /proc/filesystems; a bind mount has a dummy such as `none`. */
  readonly type?: string;
  /** Mount options, as for mount(8); those that Linux does not know go to the file system. */
  readonly options?: readonly string[];
  /** Users of an id-mapped mount; come with `gidMappings`. */
  readonly uidMappings?: readonly IdMapping[];
  /** Groups of an id-mapped mount; come with `uidMappings`. */
  readonly gidMappings?: readonly IdMapping[];
}

/** A range of ids in a user namespace and where it begins outside. */
export interface IdMapping {
  /** The first id inside. */
  readonly containerID: number;
  /** The first id outside, on the host. */
  readonly hostID: number;
  /** How many ids follow each other. */
  readonly size: number;
}

/** The program to run and what it may do. */
export interface Process {
  /** Whether the program gets a pseudoterminal for its stdin, stdout and stderr. @default {false} */
  readonly terminal?: boolean;
  /** Meaningless unless `terminal` is true. */
  readonly consoleSize?: ConsoleSize;
  /** Working directory, an absolute path inside. */
  readonly cwd: string;
  /** The whole environment, as `NAME=value`. */
  readonly env?: readonly string[];
  /** The program, then its arguments; a program without a slash is looked up in the PATH of `env`. */
  readonly args: readonly string[];
  /** Root (0:0) where it is missing, as in runc. */
  readonly user?: User;
  /** Resource limits, one of a type at most. */
  readonly rlimits?: readonly Rlimit[];
  /** Name of the AppArmor profile that confines it. */
  readonly apparmorProfile?: string;
  /** The capabilities that it keeps; none where it is missing. */
  readonly capabilities?: Capabilities;
  /** Whether set-user-id programs and file capabilities give it nothing more (prctl(2)). @default {false} */
  readonly noNewPrivileges?: boolean;
  /** Its /proc/pid/oom_score_adj, from -1000 (never killed) to 1000; as inherited where it is missing. */
  readonly oomScoreAdj?: number;
  /** Its scheduling policy; as inherited where it is missing. */
  readonly scheduler?: Scheduler;
  /** The SELinux label that it runs with. */
  readonly selinuxLabel?: string;
  /** Its I/O priority; as inherited where it is missing. */
  readonly ioPriority?: IoPriority;
  /** The processors of programs that join the sandbox later; not of this one. */
  readonly execCPUAffinity?: ExecCpuAffinity;
}

/** Size of the terminal, in characters. */
export interface ConsoleSize {
  /** Rows. */
  readonly height: Int64;
  /** Columns. */
  readonly width: Int64;
}

/** The identity of the process, in ids of the sandbox. */
export interface User {
  /** User id. */
  readonly uid: number;
  /** Group id. */
  readonly gid: number;
  /** File mode creation mask, as a decimal number. @default {18}, which is 0o022 */
  readonly umask?: number;
  /** Supplementary group ids. */
  readonly additionalGids?: readonly number[];
}

/** A resource limit of setrlimit(2). */
export interface Rlimit {
  /** Which resource; its unit is in setrlimit(2). */
  readonly type: RlimitType;
  /** The limit that the kernel enforces. */
  readonly soft: Int64;
  /** How far the soft limit can be raised without CAP_SYS_RESOURCE. */
  readonly hard: Int64;
}

/** Capability names, such as `CAP_CHOWN`, by set. */
export type Capabilities = { readonly [set in CapabilitySet]?: readonly string[] };

/** Arguments of sched_setattr(2); times are in nanoseconds. */
export interface Scheduler {
  /** The scheduling policy. */
  readonly policy: SchedulerPolicy;
  /** Nice value, from -20 (favoured) to 19. @default {0} */
  readonly nice?: number;
  /** Static priority of `SCHED_FIFO` and `SCHED_RR`, from 1 to 99 (highest). @default {0} */
  readonly priority?: number;
  /** Flags of the policy. */
  readonly flags?: readonly SchedulerFlag[];
  /** Nanoseconds that `SCHED_DEADLINE` grants in each period. @default {0} */
  readonly runtime?: Int64;
  /** Nanoseconds from the begin of a period by which `SCHED_DEADLINE` has granted them. @default {0} */
  readonly deadline?: Int64;
  /** Length of a period of `SCHED_DEADLINE` in nanoseconds. @default {0} */
  readonly period?: Int64;
}

/** Arguments of ioprio_set(2). */
export interface IoPriority {
  /** The scheduling class. */
  readonly class: IoPriorityClass;
  /** From 0 (highest, and the default) to 7. */
  readonly priority?: number;
}

/** CPU lists such as `0-3,7` for a process that joins the sandbox. */
export interface ExecCpuAffinity {
  /** Before it enters the cgroup. */
  readonly initial?: string;
  /** Afterwards. */
  readonly final?: string;
}

/** Programs to run on the way, by the moment. */
export type Hooks = { readonly [name in HookName]?: readonly Hook[] };

/** A program to run at some moment of a sandbox's life, with its state on stdin. */
export interface Hook {
  /** Absolute path of the program. */
  readonly path: string;
  /** Its arguments as execv(3) takes them, the name first. */
  readonly args?: readonly string[];
  /** Its environment, as `NAME=value`. */
  readonly env?: readonly string[];
  /** Seconds until it is aborted. */
  readonly timeout?: number;
}
