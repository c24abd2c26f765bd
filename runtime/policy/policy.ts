import type { CapabilityName, NamespaceType, RlimitType } from "../spec/words.ts";

/** What happens to a system call: it works; EPERM; ENOSYS, as if the kernel had none; the sandbox is killed. */
export const ACTIONS = ["allow", "refuse", "missing", "kill"] as const;
/** One of {@linkcode ACTIONS}. */
export type Action = (typeof ACTIONS)[number];

/** A condition on one argument of a system call: `(argument & mask)` is one of `equals`. */
export interface When {
  /** Which argument, from 0 to 5. */
  readonly argument: number;
  /** The bits that are looked at. @default all 64 */
  readonly mask?: bigint;
  /** The values, one of which it must have. */
  readonly equals: readonly bigint[];
}

/** Some system calls with what happens to them, and why. */
export interface CallGroup {
  /** What the calls have in common. */
  readonly name: string;
  /** What happens to them. */
  readonly action: Action;
  /** Why. */
  readonly reason: string;
  /** Names of system calls. */
  readonly calls: readonly string[];
  /** All of these must hold; without them the group is about every such call. */
  readonly when?: readonly When[];
}

/** Rules about system calls. The last group without conditions that names a call decides over it. */
export interface CallRules {
  /** What happens to calls that no group names. */
  readonly unlisted: "allow" | "refuse";
  /** In the order in which they decide. */
  readonly groups: readonly CallGroup[];
}

/** A soft and a hard resource limit. */
export interface PolicyRlimit {
  /** As in config.json. */
  readonly type: RlimitType;
  /** What holds. */
  readonly soft: number;
  /** What the program may raise it to. */
  readonly hard: number;
}

/**
 * Paths inside that a program may use, enforced by Landlock. One that ends in `/` is a directory with all below it; a
 * missing one is left out. What Landlock has no word for stays free: stat(2), chmod(2), and changing into a directory.
 */
export interface FileRules {
  /** What may be read; directories may be listed too. */
  readonly read: readonly string[];
  /** Directories that may be listed, with those below, but not read. */
  readonly list: readonly string[];
  /** What may be written; in directories files may be made, renamed and removed too. */
  readonly write: readonly string[];
  /** What may be read and executed. */
  readonly execute: readonly string[];
  /** Why. */
  readonly reason: string;
}

/** TCP ports that a program may use, enforced by Landlock; 0 stands for one that the kernel chooses. */
export interface PortRules {
  /** Ports to connect to. */
  readonly connect: readonly number[];
  /** Ports to bind to. */
  readonly bind: readonly number[];
  /** Why. */
  readonly reason: string;
}

/** The most that a sandbox takes of the machine, kept by a cgroup. Whoever starts it may say otherwise by options. */
export interface ResourceLimits {
  /** Memory of all its processes together, with swap. */
  readonly memoryBytes?: number;
  /** How many processes and threads there may be. */
  readonly pids?: number;
  /** How many CPUs, parts of one too. */
  readonly cpus?: number;
  /** Why. */
  readonly reason: string;
}

/** What a sandbox may do at most, and why: data that is written in JSON or YAML. */
export interface Policy {
  /** Small letters, digits and `-`. */
  readonly name: string;
  /** For whom it is, in a sentence or two. */
  readonly description: string;
  /** Whether the sandbox gets a user namespace in which nobody is root of the host. */
  readonly userNamespace: { readonly own: boolean; readonly reason: string };
  /** Namespaces that the sandbox gets even if its bundle shares the host's. */
  readonly namespaces: { readonly own: readonly NamespaceType[]; readonly reason: string };
  /** The most capabilities that a program can have. */
  readonly capabilities: { readonly allow: readonly CapabilityName[]; readonly reason: string };
  /** The sockets that can be made; without it, all. */
  readonly sockets?: {
    readonly families: readonly string[];
    readonly netlink: readonly string[];
    readonly reason: string;
  };
  /** What happens to system calls. */
  readonly seccomp: CallRules;
  /** Paths nobody inside sees, beside those of the bundle. */
  readonly maskedPaths: { readonly paths: readonly string[]; readonly reason: string };
  /** Paths nobody inside can write, beside those of the bundle. */
  readonly readonlyPaths: { readonly paths: readonly string[]; readonly reason: string };
  /** Upper bounds of resource limits. */
  readonly rlimits: { readonly limits: readonly PolicyRlimit[]; readonly reason: string };
  /** The most of the machine; refused where no cgroup can be made for it. Without it, as the bundle says. */
  readonly resources?: ResourceLimits;
  /** The least that `oom_score_adj` is; as the bundle says without it. */
  readonly oomScoreAdj?: { readonly least: number; readonly reason: string };
  /** Limits of the user namespace, files of /proc/sys/user; they need one of the sandbox's own. */
  readonly userLimits?: { readonly limits: Readonly<Record<string, number>>; readonly reason: string };
  /** The only files that can be used, if given; refused where the kernel has no Landlock. */
  readonly files?: FileRules;
  /** The only TCP ports that can be used, if given; refused where the kernel's Landlock knows none. */
  readonly ports?: PortRules;
  /** Whether Landlock is applied too, where the kernel has it. */
  readonly landlock: boolean;
  /** Whether the sandbox is compared with what was asked for before its program begins. */
  readonly attest: boolean;
}
