import type { SubordinateIds } from "./subordinate_ids.ts";

/** The architectures a plan can be compiled for, in `uname -m` spelling. */
export type Arch = "x86_64" | "aarch64";

/** What this kernel and user allow, as plain data. */
export interface Host {
  readonly arch: Arch;
  /** Effective user and group of the process that launches. */
  readonly uid: number;
  readonly gid: number;
  /** Whether the launching process may mount on the host (CAP_SYS_ADMIN in the first user namespace). */
  readonly privileged: boolean;
  /** Whether it is root of a user namespace within the host's, and so may mount there without another one. */
  readonly ownsNamespace?: true;
  /**
   * Whether the user namespaces that it makes stay its own: without CAP_SYS_PTRACE it could not look into those of
   * another user, without CAP_SETPCAP not make them in another's name.
   */
  readonly keepsNamespaces?: true;
  /** `cap_last_cap`: the highest capability number of this kernel. */
  readonly lastCapability: number;
  /** What a program may open unless its spec says otherwise (RLIMIT_NOFILE): what the caller may, as far as that is known. */
  readonly openFiles: { readonly soft: number; readonly hard: number };
  /** What a user who is not root may map beside the own id; nothing for root, who needs nobody's leave. */
  readonly subordinateIds?: SubordinateIds | undefined;
  /** The cgroup hierarchies that are mounted, each with the launching process's own group in it. */
  readonly cgroups: readonly CgroupHierarchy[];
}

/** One mounted cgroup hierarchy. */
export interface CgroupHierarchy {
  readonly version: 1 | 2;
  /** Controllers or `name=…`, as the mount options list them; empty for version 2. */
  readonly controllers: string;
  readonly mountPoint: string;
  /** The launching process's group, from the hierarchy's root. */
  readonly own: string;
}
