import type { CgroupHierarchy } from "../host/facts.ts";

/** How a sandbox went that was made only to see whether it can be. */
export type Trial =
  | { readonly works: true }
  | { readonly works: false; readonly call?: string; readonly errno?: number; readonly says: string };

/** System calls that sandboxes are made of and that older kernels, or filters around us, do not have. */
export const PROBED_CALLS = ["clone3", "openat2", "fsopen", "mount_setattr"] as const;
/** One of them. */
export type ProbedCall = (typeof PROBED_CALLS)[number];

/** Files whose first line is a fact; those that are not there or cannot be read have none. */
export const SETTINGS = {
  release: "/proc/sys/kernel/osrelease",
  usernsClone: "/proc/sys/kernel/unprivileged_userns_clone",
  usernsMost: "/proc/sys/user/max_user_namespaces",
  usernsApparmor: "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
  memfdNoexec: "/proc/sys/vm/memfd_noexec",
  seccompActions: "/proc/sys/kernel/seccomp/actions_avail",
} as const;

/** What was found of CRIU. */
export interface Criu {
  readonly path: string;
  /** Whether `criu check` passes; only root can tell. */
  readonly works: boolean | undefined;
  /** The last line of what it said. */
  readonly says: string;
}

/** Everything that the checks look at, as plain data; `undefined` is what could not be told. */
export interface Facts {
  readonly arch: string;
  readonly uid: number;
  /** Whether this is root with CAP_SYS_ADMIN. */
  readonly privileged: boolean;
  /** The executable that runs this: `bin/runtime`, or Deno. */
  readonly program: string;
  /** `ID` of /etc/os-release. */
  readonly distribution: string;
  readonly settings: Readonly<Partial<Record<keyof typeof SETTINGS, string>>>;
  /** Names in /proc/self/ns. */
  readonly namespaces: readonly string[] | undefined;
  /** Names in /proc/filesystems; a module that is not loaded yet is not among them. */
  readonly fileSystems: readonly string[] | undefined;
  /** The errno of each call with arguments that no kernel takes. */
  readonly calls: Readonly<Record<ProbedCall, number>>;
  /** A sandbox for a program, a bundle under an overlay, and the same in a user namespace of its own. */
  readonly trials: Readonly<Record<"sandbox" | "overlay" | "userns", Trial>>;
  readonly libseccomp: boolean;
  readonly libnftables: boolean;
  readonly criu: Criu | undefined;
  readonly cgroups: readonly CgroupHierarchy[] | undefined;
  /** Mount points of hierarchies in which this user may make groups below its own. */
  readonly writableCgroups: readonly string[];
  /** CapEff of /proc/self/status. */
  readonly capabilities: bigint | undefined;
  /** Whether newuidmap is there, and a range in /etc/subuid for this user. */
  readonly newuidmap: boolean;
  readonly subordinate: boolean | undefined;
  /** Where images are kept between commands, if there is such a place, and whether it can be written to. */
  readonly images: { readonly directory: string; readonly writable: boolean } | undefined;
  /** The version of Landlock's interface; 0 if there is none. */
  readonly landlock: number | undefined;
}
