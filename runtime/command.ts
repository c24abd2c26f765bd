import { MASKED_PATHS, READONLY_PATHS, SEARCH_PATH, USUAL_MOUNTS } from "./defaults.ts";
import { environment } from "./environment.ts";
import type { Host } from "./host/facts.ts";
import { INHERITED } from "./inherited.ts";
import type { Entry, Root } from "./plan/context.ts";
import type { Mount, NamespaceType, Spec } from "./spec/config.ts";

/** A program to run in a sandbox that is made for it, without a bundle. */
export interface Command {
  readonly args: readonly string[];
  /** More environment, as `NAME=value`; nothing is inherited but TERM and LANG. */
  readonly env?: readonly string[];
  /** Absolute path inside the sandbox. @default the shared directory, else `/` */
  readonly cwd?: string;
  /** A directory of the host that the sandbox sees, read-only, at the same path. */
  readonly share?: string;
  /** More mounts. */
  readonly mounts?: readonly Mount[];
  readonly hostname?: string;
  readonly terminal?: boolean;
  /** Size of the root and of /tmp in memory. @default {268435456} */
  readonly rootBytes?: number;
}

const NAMESPACES: readonly NamespaceType[] = ["pid", "ipc", "mount", "network", "uts", "cgroup"];
/** Parts of the host's /etc that programs under /usr do not work without, and that hold no secrets. */
export const ETC: readonly string[] = [
  "alternatives",
  "ca-certificates",
  "ld.so.cache",
  "ld.so.conf",
  "ld.so.conf.d",
  "localtime",
  "mime.types",
  "ssl/certs",
];
/** Directories at the root that are links into /usr on a merged system. */
export const TOP: readonly string[] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/** A working directory here is not shared: it is the system's, or already there. */
const SYSTEM = /^\/(usr|bin|sbin|lib\w*|proc|sys|dev|etc|boot|run|var)?(\/|$)/;
/** Beside the usual ones: what the host is doing, and the power that it takes (CVE-2020-8694). */
const MASKED = [...MASKED_PATHS, "/proc/interrupts", "/sys/devices/virtual/powercap"].sort();

/** Whether a working directory of the host may be shared under its own name. */
export function isShareable(directory: string): boolean {
  return directory.startsWith("/") && !SYSTEM.test(directory);
}

/**
 * A spec and a root for one program: the host's /usr read-only, an empty /tmp, and no other file of the host but what
 * is named. Everything else is new and in memory.
 */
export function commandSpec(command: Command, host: Host): { spec: Spec; root: Root } {
  const { args, env = [], share, terminal = false, rootBytes = 256 << 20 } = command;
  const links: Entry[] = [];
  const mounts: Mount[] = [readonlyBind("/usr")];
  for (const name of TOP) {
    const to = linkTarget(`/${name}`);
    if (to !== undefined) links.push({ kind: "link", path: `/${name}`, to });
    else if (exists(`/${name}`)) mounts.push(readonlyBind(`/${name}`));
  }
  for (const name of ETC) if (exists(`/etc/${name}`)) mounts.push(readonlyBind(`/etc/${name}`));
  mounts.push(...USUAL_MOUNTS);
  if (share !== undefined) mounts.push(readonlyBind(share));
  const base = [`PATH=${SEARCH_PATH}`, "HOME=/tmp", ...INHERITED.flatMap(inherited)];
  return {
    root: { kind: "scratch", sizeBytes: rootBytes, entries: [...links, ...skeleton(host)] },
    spec: {
      ociVersion: "1.2.0",
      root: { path: "/" },
      hostname: command.hostname ?? "sandbox",
      mounts: [...mounts, ...(command.mounts ?? [])],
      process: {
        terminal,
        cwd: command.cwd ?? share ?? "/",
        args,
        env: environment(base, env),
        user: { uid: host.uid, gid: host.gid },
        noNewPrivileges: true,
        rlimits: [{ type: "RLIMIT_CORE", soft: 0, hard: 0 }],
      },
      linux: {
        namespaces: NAMESPACES.map((type) => ({ type })),
        maskedPaths: MASKED,
        readonlyPaths: READONLY_PATHS,
      },
    },
  };
}

function readonlyBind(path: string): Mount {
  return { destination: path, source: path, type: "bind", options: ["rbind", "rro", "rnosuid", "rnodev"] };
}

function skeleton({ uid, gid }: Host): Entry[] {
  const directories = ["usr", "proc", "dev", "sys", "etc", "run", "var", "root", "home"];
  const user = uid === 0 ? "" : `sandbox:x:${uid}:${gid}:sandbox:/tmp:/bin/sh\n`;
  const group = gid === 0 ? "" : `sandbox:x:${gid}:\n`;
  const file = (name: string, text: string): Entry => ({ kind: "file", path: `/etc/${name}`, text });
  return [
    ...directories.map((name): Entry => ({ kind: "directory", path: `/${name}`, mode: 0o755 })),
    { kind: "directory", path: "/tmp", mode: 0o1777 },
    { kind: "directory", path: "/var/tmp", mode: 0o1777 },
    file("passwd", `root:x:0:0:root:/root:/bin/sh\n${user}nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n`),
    file("group", `root:x:0:\n${group}nogroup:x:65534:\n`),
    file("hosts", "127.0.0.1 localhost sandbox\n::1 localhost sandbox\n"),
    file("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
  ];
}

/** A variable of ours, as `NAME=value`, if we have it. */
export function inherited(name: string): string[] {
  const value = Deno.env.get(name);
  return value === undefined ? [] : [`${name}=${value}`];
}

function linkTarget(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return undefined;
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
