import type { StdioChoice } from "./supervise/ends.ts";
import type { Bundle, OverlayChoice } from "./bundle.ts";
import type { PolicyName } from "./policy/names.ts";
import type { Policy } from "./policy/policy.ts";
import type { Observer } from "./supervise/observed_calls.ts";
import type { Connection, NetworkOptions } from "./network.ts";
import type { Plan } from "./plan/op.ts";
import type { Mount } from "./spec/config.ts";
import type { Ceiling } from "./untrusted/ceiling.ts";
import type { Cut } from "./untrusted/rule.ts";

/** How far an untrusted bundle is trusted after all: what is named here replaces the usual ceiling. */
export interface UntrustedOptions extends Partial<Omit<Ceiling, "pids" | "memoryBytes" | "cpus">> {
  /** Refuses a bundle that asks for more, instead of cutting it down. @default {false} */
  readonly strict?: boolean;
  /** Hears what is cut before anything is started; `Sandbox.cuts` has it too. */
  readonly onCuts?: (cuts: readonly Cut[]) => void;
}

/** The most that a sandbox may do with a block device. */
export interface IoMax {
  /** Such as `/dev/sda`, or its numbers as `8:0`. */
  readonly device: string;
  /** Bytes to read in a second. */
  readonly rbps?: number;
  /** Bytes to write in a second. */
  readonly wbps?: number;
  /** Reads in a second. */
  readonly riops?: number;
  /** Writes in a second. */
  readonly wiops?: number;
}

/** What to run, and how. */
export interface SandboxOptions {
  /** An OCI bundle: its directory, or what {@linkcode loadBundle} made of it. One of `bundle` and `command` is given. */
  readonly bundle?: string | Bundle;
  /** A program with its arguments, run in a sandbox made for it. */
  readonly command?: readonly string[];
  /** Its name. @default made up */
  readonly id?: string;
  /** What the program reads. @default {"null"} */
  readonly stdin?: StdioChoice;
  /** Where its output goes. @default {"piped"} */
  readonly stdout?: StdioChoice;
  /** Where its complaints go. @default {"piped"} */
  readonly stderr?: StdioChoice;
  /** Kills the sandbox this long after its start. */
  readonly timeoutMs?: number;
  /** More environment, as `NAME=value`. */
  readonly env?: readonly string[];
  /** Working directory inside. */
  readonly cwd?: string;
  /** More mounts, as in config.json. */
  readonly mounts?: readonly Mount[];
  /** A directory of the host to show read-only at the same path; for `command` only. */
  readonly share?: string;
  /** Whether the program gets a terminal of its own. @default as the bundle says */
  readonly terminal?: boolean;
  /** How many CPUs it may use, in parts of one too. */
  readonly cpus?: number;
  /** Which CPUs it may run on, such as `0-2,7`. */
  readonly cpuset?: string;
  /** How much memory it may use, the files of its tmpfs included. */
  readonly memoryBytes?: number;
  /** How much memory and swap together; -1 is as much swap as there is. @default `memoryBytes`: no swap */
  readonly memorySwapBytes?: number;
  /** How many processes and threads it may have. */
  readonly pids?: number;
  /** How fast it may read from and write to block devices. */
  readonly ioMax?: readonly IoMax[];
  /** Who makes a cgroup for its limits; without one the limits of a bundle are not applied. @default {"cgroupfs"} */
  readonly cgroupManager?: "cgroupfs" | "systemd" | "disabled";
  /**
   * Whether Landlock keeps the program in its place beside everything else: `"available"` only where the kernel has
   * it, `true` is refused elsewhere. @default as the policy says; without one {false}
   */
  readonly landlock?: boolean | "available";
  /**
   * What it may do at most: the name of a policy that comes along, or one of {@linkcode readPolicy}.
   * @default {"default"} for a `command`; a bundle is taken as it is
   */
  readonly policy?: PolicyName | Policy;
  /**
   * Whether the sandbox is compared with what was asked for before its program begins: a difference is an
   * {@linkcode AttestationError}. @default as the policy says; without one {false}
   */
  readonly attest?: boolean;
  /**
   * What keeps a program in its place where user namespaces are forbidden: Landlock and a filter, without any
   * namespace; for `command` only. @default an error
   */
  readonly fallback?: "landlock";
  /** What it reaches of the network. @default its own loopback device only; a bundle is taken as it is */
  readonly network?: NetworkOptions;
  /** What lies over the root file system; `command` always has a root in memory. @default {"tmpfs"} */
  readonly overlay?: OverlayChoice;
  /**
   * How newlines come out of the program's terminal: `plain` as they are written, for who shows them on a terminal or
   * keeps them in a file. @default with a carriage return before each
   */
  readonly newlines?: "plain";
  /** Takes the bundle's config.json for a request, and cuts it down to a ceiling. @default {false} */
  readonly untrusted?: boolean | UntrustedOptions;
  /** Open descriptors of this process that the program gets, as 3 and so on. */
  readonly preserveFds?: readonly number[] | undefined;
  /** Whether the root is changed by pivot_root; not on a ramdisk, where it is mounted over the host's. @default {true} */
  readonly pivot?: boolean | undefined;
  /** Whether the program gets an empty keyring in place of the caller's keys. @default {true} */
  readonly newKeyring?: boolean | undefined;
  /**
   * Hears what does not stop anything: capabilities that cannot be granted, and what is wrong with hooks that run when
   * the sandbox is gone.
   */
  readonly onWarning?: (warning: string) => void;
}

/** Hears of every system call and answers it. Only learning has this word: no command line and no data can say it. */
export const OBSERVE: unique symbol = Symbol("observe");

/** Options of a sandbox whose system calls somebody answers, in place of the policy's filters. */
export interface ObservedOptions extends SandboxOptions {
  /** Decides over every call but those that all policies allow. */
  readonly [OBSERVE]?: Observer;
}

/** Changes a plan before it is assembled. Only tests have this word: no command line and no data can say it. */
export const EDIT_PLAN: unique symbol = Symbol("edit plan");

/** Options with a defect that a test puts in. */
export interface DefectiveOptions extends SandboxOptions {
  /** Leaves steps out, or alters them. */
  readonly [EDIT_PLAN]?: (plan: Plan) => Plan;
}

/** The options, with what is decided on the way. */
export interface InnerOptions extends ObservedOptions {
  /** The program is to run without namespaces; this directory is its own. */
  readonly bare?: { readonly path: string } & Disposable;
  /** Its place on the network, which is taken already. */
  readonly connection?: Connection | undefined;
  /** Whether the upper layer of its overlay comes by a descriptor, with files in it already. */
  readonly keptUpper?: boolean | undefined;
}

/** What `--fallback landlock` does not keep apart. */
export const NOT_APART: string =
  "the program shares this user's ids and the host's pids, network devices, mounts and clocks, " +
  "and can see that files exist; its disk space, memory and processes are not limited";
