import { MASKED_PATHS, READONLY_PATHS, SEARCH_PATH, USUAL_MOUNTS } from "./defaults.ts";
import type { Mount, Spec } from "./spec/config.ts";

const CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

/** Options of {@linkcode starterSpec}. */
export interface StarterOptions {
  /** For users without root's rights. */
  readonly rootless?: boolean;
  /** The user and group that root inside is outside. @default 0 */
  readonly uid?: number;
  /** See `uid`. */
  readonly gid?: number;
  /** Shows the container its cgroup: as this layout of the host wants it. */
  readonly cgroups?: "v1" | "v2";
}

/** The config.json to begin a bundle with: a shell in a read-only root. `rootless` for users without root's rights. */
export function starterSpec({ rootless = false, uid = 0, gid = 0, cgroups }: StarterOptions = {}): Spec {
  const own = cgroups === "v1" ? [] : ["cgroup" as const]; // as runc: with v1 its own hierarchies are shown anyhow
  const namespaces = ["pid", "network", "ipc", "uts", "mount", ...own] as const;
  return {
    ociVersion: "1.2.0",
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ["sh"],
      env: [`PATH=${SEARCH_PATH}`, "TERM=xterm"],
      cwd: "/",
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
      rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: "rootfs", readonly: true },
    hostname: "sandbox",
    mounts: [...starterMounts(rootless), ...(cgroups ? [CGROUP_MOUNT] : [])],
    linux: {
      ...(cgroups && !rootless && { resources: { devices: [{ allow: false, access: "rwm" }] } }),
      namespaces: [...namespaces, ...(rootless ? ["user" as const] : [])].map((type) => ({ type })),
      ...(rootless && {
        uidMappings: [{ containerID: 0, hostID: uid, size: 1 }],
        gidMappings: [{ containerID: 0, hostID: gid, size: 1 }],
      }),
      maskedPaths: MASKED_PATHS,
      readonlyPaths: READONLY_PATHS,
    },
  };
}

const CGROUP_MOUNT: Mount = {
  destination: "/sys/fs/cgroup",
  type: "cgroup",
  source: "cgroup",
  options: ["nosuid", "noexec", "nodev", "relatime", "ro"],
};

/** The usual mounts as `runc spec` writes them: named, proc as it is, terminals for Debian's group tty. */
function starterMounts(rootless: boolean): Mount[] {
  return USUAL_MOUNTS.map(({ destination, type, options }) => {
    if (type === "proc") return { destination, type, source: type };
    const source = destination === "/dev/shm" ? "shm" : type;
    const tty = type === "devpts" && !rootless ? ["gid=5"] : [];
    return { destination, type, source, options: [...options, ...tty] };
  });
}
