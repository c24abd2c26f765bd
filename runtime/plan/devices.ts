import type { Device, Mount } from "../spec/config.ts";
import { O } from "./abi.ts";
import type { Context, Steps } from "./context.ts";
import { createFile, resolveOrCreate } from "./files.ts";
import { AT_FDCWD, deviceNumber, S } from "./kernel.ts";
import { attach, cloneMount } from "./mount_ops.ts";
import { mountOptions } from "./mount_options.ts";
import { flags, named, type Op, op, slot, zeros } from "./op.ts";

/** The devices every sandbox has (OCI config-linux.md, "Default Devices"). */
export const DEFAULT_DEVICES: readonly Device[] = [
  { path: "/dev/null", type: "c", major: 1, minor: 3 },
  { path: "/dev/zero", type: "c", major: 1, minor: 5 },
  { path: "/dev/full", type: "c", major: 1, minor: 7 },
  { path: "/dev/random", type: "c", major: 1, minor: 8 },
  { path: "/dev/urandom", type: "c", major: 1, minor: 9 },
  { path: "/dev/tty", type: "c", major: 5, minor: 0 },
];

/** The links of OCI runtime-linux.md, "Dev symbolic links", and the one to the sandbox's own devpts. */
const LINKS: readonly (readonly [name: string, to: string])[] = [
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
  ["ptmx", "pts/ptmx"],
];

const FILE_TYPE = {
  c: ["S_IFCHR", S.IFCHR],
  u: ["S_IFCHR", S.IFCHR],
  b: ["S_IFBLK", S.IFBLK],
  p: ["S_IFIFO", S.IFIFO],
} as const;

/** Whether `mount` is a new file system at /dev, empty until we fill it. */
export function isDevDirectory({ spec }: Context, mount: Mount): boolean {
  return mount === devMount(spec.mounts) && mount.type === "tmpfs" && !mountOptions(mount.options ?? []).bind;
}

function devMount(mounts: readonly Mount[] = []): Mount | undefined {
  return mounts.find(({ destination }) => destination.replace(/\/+$/, "") === "/dev");
}

/** Devices that lie directly in /dev, by name; a configured one replaces the default of the same path. */
function devices({ spec }: Context): { near: Map<string, Device>; far: Device[] } {
  const near = new Map<string, Device>();
  const far: Device[] = [];
  for (const given of [...DEFAULT_DEVICES, ...(spec.linux?.devices ?? [])]) {
    const device = { ...given, path: given.path.replace(/\/+$/, "") };
    const name = /^\/dev\/([^/]+)$/.exec(device.path)?.[1];
    if (LINKS.some(([link]) => link === name)) continue; // what is there anyhow, as in runc
    if (name !== undefined) near.set(name, device);
    else far.push(device);
  }
  return { near, far };
}

/** In a user namespace nobody may make device nodes: the host's are mounted over empty files. Its mounts are no peers of the host's. */
function mustBind(context: Context): boolean {
  return context.namespace("user") !== "shared" || !context.host.privileged;
}

/** The paths of the devices that are the host's, mounted: those in a /dev of our own making, and the others. */
export function boundDevices(context: Context): { readonly near: string[]; readonly far: string[] } {
  if (!mustBind(context)) return { near: [], far: [] };
  const { near, far } = devices(context);
  const paths = (some: Iterable<Device>): string[] =>
    [...some].flatMap(({ path, type }) => type === "p" ? [] : path);
  const dev = devMount(context.spec.mounts);
  if (!dev) return { near: [], far: paths([...near.values(), ...far]) };
  return { near: isDevDirectory(context, dev) ? paths(near.values()) : [], far: paths(far) };
}

/**
 * Fills the new, still unmounted file system of slot `dev`: no path in the rootfs is involved. One that will be made
 * `readOnly` must have no file open for writing.
 */
export function* populateDev(context: Context, dev: string, readOnly = false): Iterable<Op> {
  const { spec, arch } = context;
  for (const [name, device] of devices(context).near) {
    const bound = mustBind(context) && device.type !== "p";
    yield bound
      ? createFile(arch, dev, name, `make file "/dev/${name}"`, "file")
      : makeNode(device, dev, name);
    if (bound && readOnly) yield op(`make file "/dev/${name}"`, "close", [slot("file")]);
    yield* bound
      ? [cloneMount(`bind device "${device.path}"`, AT_FDCWD, device.path, false, `device:${name}`)]
      : ownership(device, dev, name);
  }
  for (const [name, to] of LINKS) yield op(`link "/dev/${name}"`, "symlinkat", [to, slot(dev), name]);
  if (spec.process?.terminal) {
    yield createFile(arch, dev, "console", `make file "/dev/console"`, "file");
    if (readOnly) yield op('make file "/dev/console"', "close", [slot("file")]);
  }
  const made = new Set<string>();
  for (const mount of spec.mounts ?? []) {
    const name = /^\/dev\/([^/]+)\/*$/.exec(mount.destination)?.[1];
    if (name === undefined || made.has(name)) continue;
    made.add(name);
    if (!isFile(context, mount)) {
      yield op(`make directory "/dev/${name}"`, "mkdirat", [slot(dev), name, named("0755", 0o755)]);
    }
  }
}

function isFile({ sources, bundle }: Context, { source = "", options = [], type }: Mount): boolean {
  return mountOptions(options, type).bind &&
    sources.get(source.startsWith("/") ? source : `${bundle}/${source}`) === "file";
}

/** Mounts the host's devices on their files, once /dev is in its place. */
export function* connectDevices(context: Context, dev: string): Iterable<Op> {
  if (!mustBind(context)) return;
  for (const [name, { path, type }] of devices(context).near) {
    if (type === "p") continue;
    const does = `bind device "${path}"`;
    yield op(does, "openat", [slot(dev), name, flags("O_", { PATH: O.PATH, CLOEXEC: O.CLOEXEC }), 0], {
      into: "target",
    });
    yield attach(does, `device:${name}`, "target");
  }
}

function makeNode(
  { path, type, major = 0, minor = 0, fileMode = 0o666 }: Device,
  directory: string,
  name: string,
): Op {
  const [word, bits] = FILE_TYPE[type];
  const mode = named(`${word}|0${(fileMode & 0o7777).toString(8)}`, bits | (fileMode & 0o7777));
  const number = named(`makedev(${major}, ${minor})`, deviceNumber(Number(major), Number(minor)));
  return op(`make device "${path}"`, "mknodat", [slot(directory), name, mode, number]);
}

function* ownership({ path, uid, gid }: Device, directory: string, name: string): Iterable<Op> {
  if (!uid && !gid) return;
  yield op(`give device "${path}" its owner`, "fchownat", [
    slot(directory),
    name,
    uid ?? 0,
    gid ?? 0,
    named("AT_SYMLINK_NOFOLLOW", 0x100),
  ]);
}

/**
 * The devices that {@linkcode populateDev} does not make: those outside /dev, and all of them where /dev is no file
 * system of our own. What is already there must be that very device.
 */
export function otherDevices(context: Context): Steps {
  const { near, far } = devices(context);
  const dev = devMount(context.spec.mounts);
  const own = dev !== undefined && isDevDirectory(context, dev);
  // A /dev that was given from outside is taken as it is.
  const given = dev !== undefined && !own;
  const wanted = own || given ? far : [...near.values(), ...far];
  const before: Op[] = [];
  const inside: Op[] = [];
  wanted.forEach((device, index) => {
    const { path } = device;
    const cut = path.lastIndexOf("/");
    const does = `make device "${path}"`;
    if (mustBind(context) && device.type !== "p") {
      before.push(cloneMount(does, AT_FDCWD, path, false, `far:${index}`));
      const place = `device:${index}`;
      inside.push(...resolveOrCreate(does, path, place, { arch: context.arch, kind: "file" }));
      inside.push(attach(does, `far:${index}`, place));
      return;
    }
    const directory = `device:${index}:directory`;
    inside.push(
      ...resolveOrCreate(does, path.slice(0, cut) || "/", directory, {
        arch: context.arch,
        kind: "directory",
      }),
    );
    inside.push(...nodeOrSame(device, directory, path.slice(cut + 1), index));
  });
  if (!own && !given) {
    inside.push(...resolveOrCreate("find /dev", "/dev", "dev", { arch: context.arch, kind: "directory" }));
    for (const [name, to] of LINKS) {
      inside.push(op(`link "/dev/${name}"`, "symlinkat", [to, slot("dev"), name], { ignore: ["EEXIST"] }));
    }
  }
  return { before, inside };
}

function* nodeOrSame(device: Device, directory: string, name: string, index: number): Iterable<Op> {
  const { path, major = 0, minor = 0 } = device;
  const [exists, done] = [`device:${index}:exists`, `device:${index}:done`];
  yield { ...makeNode(device, directory, name), ignore: ["EEXIST"], ignored: exists };
  yield* ownership(device, directory, name);
  yield op("go on", "let", [0], { zero: done });
  const stat = zeros(256, "statx");
  const does = `use what lies at "${path}" as device ${major}:${minor}`;
  const how = named("AT_SYMLINK_NOFOLLOW", 0x100);
  yield op(does, "statx", [slot(directory), name, how, named("STATX_TYPE", 1), stat], { label: exists });
  // stx_rdev_major and stx_rdev_minor follow each other.
  const wanted = BigInt(major) | (BigInt(minor) << 32n);
  yield op(does, "load", [{ inside: stat, offset: 128 }, 0], { into: "rdev" });
  yield op(does, "let", [slot("rdev"), -1, wanted], { zero: done });
  // Something else is there: makes the error that says so.
  yield makeNode(device, directory, name);
  yield op("go on", "let", [0], { label: done });
}
