import type { Fd } from "../ffi/fd.ts";
import { openInside, openPath, placeOf } from "../ffi/look.ts";
import { environment } from "./environment.ts";
import { follow } from "./follow.ts";
import type { Root } from "./plan/context.ts";
import { mountOptions } from "./plan/mount_options.ts";
import { EMPTY, lookAt, NOTHING } from "./seen.ts";
import type { Mount, Spec } from "./spec/config.ts";

/** Bytes of a /etc/passwd that are read. */
const MOST_PASSWD_BYTES = 1 << 20;
const [S_IFMT, S_IFREG, S_IFDIR] = [0o170000, 0o100000, 0o040000];

/** A spec with what it leaves to the root file system, and what that was read from. */
export interface Filled {
  readonly spec: Spec;
  /** How the files looked by their paths on the host: as {@linkcode lookAt} says. */
  readonly seen: Readonly<Record<string, string>>;
}

/**
 * Fills in what a spec leaves to the root file system, as runc does: HOME, which is the user's of /etc/passwd, and the
 * mode of a tmpfs, which is that of the directory below it. Where nothing is in that, there is nothing to copy up. Each
 * variable is there once.
 *
 * @param trusted Whether files of the root file system are read; it is looked at in any case.
 */
export function filled(spec: Spec, root: Root, trusted: boolean): Filled {
  const rootfs = root.kind === "directory" ? root.path : root.kind === "overlay" ? root.lowers[0] : undefined;
  const env = environment([], spec.process?.env ?? []);
  const needsHome = trusted && spec.process !== undefined && !env.some((each) => /^HOME=./.test(each));
  const needsModes = spec.mounts?.some(inheritsMode) ?? false;
  if (!needsHome && !needsModes) return { spec: withEnv(spec, env), seen: {} };
  using fd = rootfs === undefined ? undefined : openPath(rootfs);
  const seen: Record<string, string> = {};
  const note = (path: string, below = rootfs!): string => {
    const { links, path: end } = follow(path, below) ?? { links: [], path };
    for (const each of [...links, below + end]) seen[each] = lookAt(each);
    return below + end;
  };
  const mounts = spec.mounts?.map((mount) => {
    if (!fd || !inheritsMode(mount)) return mount;
    const place = note(mount.destination);
    const { copyUp } = mountOptions(mount.options ?? [], "tmpfs");
    if (!copyUp || !trusted || !isWhole(mount, spec, root)) return withMode(mount, fd);
    const copied = seen[`${place}/`] = lookAt(`${place}/`);
    const options = mount.options!.filter((option) => option !== "tmpcopyup");
    return withMode([EMPTY, NOTHING].includes(copied) ? { ...mount, options } : mount, fd);
  });
  const home = needsHome ? homeOf(spec, fd, note) : "";
  const others = needsHome ? env.filter((each) => !each.startsWith("HOME=")) : env;
  return {
    spec: { ...withEnv(spec, needsHome ? [...others, `HOME=${home}`] : others), ...(mounts && { mounts }) },
    seen,
  };
}

function withEnv(spec: Spec, env: readonly string[]): Spec {
  return spec.process?.env ? { ...spec, process: { ...spec.process, env } } : spec;
}

function inheritsMode({ type, options = [], destination }: Mount): boolean {
  if (type !== "tmpfs" || destination.replace(/\/+$/, "") === "/dev") return false;
  const { bind, remount, copyUp, data } = mountOptions(options, type);
  return !bind && !remount && (copyUp || !data.some(({ key }) => key === "mode"));
}

/** Whether all that the place of a mount has is in the one directory of the root, or in a tmpfs that is as that. */
function isWhole(mount: Mount, { mounts = [] }: Spec, root: Root): boolean {
  if (root.kind === "overlay" && (root.isKept || root.lowers.length > 1)) return false;
  const directory = ({ destination }: Mount): string => `${destination.replace(/\/+$/, "")}/`;
  const place = directory(mount);
  return mounts.every((other) => other.type === "tmpfs" || !place.startsWith(directory(other)));
}

function withMode(mount: Mount, root: Fd): Mount {
  const { options = [], destination } = mount;
  if (mountOptions(options, "tmpfs").data.some(({ key }) => key === "mode")) return mount;
  using found = inside(root, destination);
  const { mode } = found ? placeOf(found) : { mode: 0 };
  if ((mode & S_IFMT) !== S_IFDIR) return mount;
  return { ...mount, options: [...options, `mode=${(mode & 0o7777).toString(8)}`] };
}

function inside(root: Fd, path: string): Fd | undefined {
  try {
    return openInside(root, path);
  } catch {
    return undefined; // the launch will say what is wrong there
  }
}

/** The home of the user in the /etc/passwd that the program will see; `/` if there is none. */
function homeOf(
  spec: Spec,
  root: Fd | undefined,
  note: (path: string, below?: string) => string,
): string {
  const bound = spec.mounts?.findLast(({ destination, type, options = [] }) => {
    return destination === "/etc/passwd" && mountOptions(options, type).bind;
  })?.source;
  if (bound?.startsWith("/")) {
    note(bound, "");
    using file = openPath(bound);
    return homeIn(textOf(file), spec);
  }
  if (!root) return "/";
  note("/etc/passwd");
  using file = inside(root, "/etc/passwd");
  return file ? homeIn(textOf(file), spec) : "/";
}

function homeIn(passwd: string, { process }: Spec): string {
  const uid = String(process?.user?.uid ?? 0);
  for (const line of passwd.split("\n")) {
    const [, , id, , , home = ""] = line.split(":");
    if (id === uid) return home || "/";
  }
  return "/";
}

/** A fifo or a device that somebody planted there is not opened. */
function textOf(file: Fd): string {
  if ((placeOf(file).mode & S_IFMT) !== S_IFREG) return "";
  using open = Deno.openSync(`/proc/self/fd/${file.raw}`);
  const bytes = new Uint8Array(MOST_PASSWD_BYTES);
  let size = 0;
  for (let count; size < bytes.length && (count = open.readSync(bytes.subarray(size))) !== null;) {
    size += count;
  }
  return new TextDecoder().decode(bytes.subarray(0, size));
}
