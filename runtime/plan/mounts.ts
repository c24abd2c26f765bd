import type { Mount } from "../spec/config.ts";
import { bindAttributes } from "./bind_flags.ts";
import { cgroupMount } from "./cgroup_mount.ts";
import { type Context, type Steps } from "./context.ts";
import { connectDevices, isDevDirectory, populateDev } from "./devices.ts";
import { resolve, resolveOrCreate } from "./files.ts";
import { PROPAGATION } from "./kernel.ts";
import {
  attach,
  cloneMount,
  mapFiles,
  newFileSystem,
  optionAttributes,
  setAttributes,
  sourcePath,
} from "./mount_ops.ts";
import { awaitsNetwork } from "./late_network.ts";
import { labelOf } from "./mount_label.ts";
import { Memo } from "./memo.ts";
import { type MountOptions, mountOptions } from "./mount_options.ts";
import { named, type Op, slot } from "./op.ts";
import { copyUp } from "./overlay.ts";
import { pathInRoot } from "./rootfs.ts";
import { openSource } from "./sources.ts";
import { askToMap } from "./served.ts";
import { mapMountIds, mapMountIdsAs } from "./userns.ts";

/** File systems that must be mounted exactly where they are asked for: the kernel's own files are looked for there. */
const FIXED_PLACE = new Set(["proc", "sysfs"]);

/** The steps for `mounts` of a spec, in their order. */
export function mounts(context: Context): Steps {
  const parts = (context.spec.mounts ?? []).map((mount, index) => oneMount(context, mount, index));
  return {
    launcher: parts.flatMap((part) => part.launcher ?? []),
    mapped: parts.flatMap((part) => part.mapped ?? []),
    served: parts.flatMap((part) => part.served ?? []),
    before: parts.flatMap((part) => part.before ?? []),
    connected: parts.flatMap((part) => part.connected ?? []),
    inside: parts.flatMap((part) => part.inside ?? []),
  };
}

function oneMount(context: Context, mount: Mount, index: number): Steps {
  const { destination, type = "none" } = mount;
  const options = mountOptions(mount.options ?? [], type);
  const fd = `mount:${index}`;
  const target = `target:${index}`;
  if (options.remount) return { inside: [...remount(context, destination, options, target)] };
  const does = `mount ${options.bind ? `"${mount.source}"` : type} on "${destination}"`;
  if (type === "cgroup" || type === "cgroup2") return cgroupMount(context, mount, options, fd, target);
  if (options.bind) return bind(context, mount, options, { does, fd, target });
  const isOwn = isDevDirectory(context, mount) || options.copyUp || labelOf(context, type).length > 0;
  if (isOwn || awaitsNetwork(context, type)) {
    return fileSystem(context, mount, options, { does, fd, target });
  }
  // Nothing else decides over these, and most bundles have the same.
  const words = [context.arch, index, destination, type, mount.source, mount.options];
  return plain.take(words, () => fileSystem(context, mount, options, { does, fd, target }));
}

/** The steps of new file systems that depend on nothing but themselves. */
const plain = new Memo<Steps>();

function fileSystem(
  context: Context,
  mount: Mount,
  options: MountOptions,
  { does, fd, target }: Names,
): Steps {
  const { destination, type = "none" } = mount;
  const isDev = isDevDirectory(context, mount);
  // A read-only /dev is made read-only when its devices are in it.
  const { RDONLY, ...writable } = options.set;
  const set = isDev ? writable : options.set;
  const data = [...options.data, ...labelOf(context, type)];
  const before = [
    ...newFileSystem(does, { type, source: mount.source ?? type, data, set }, fd),
  ];
  if (isDev) before.push(...populateDev(context, fd, RDONLY !== undefined));
  if (isDev && RDONLY !== undefined) before.push(setAttributes(does, slot(fd), { set: { RDONLY } }));
  before.push(...optionAttributes(does, slot(fd), { ...options, set: {}, clear: {} }));
  const place = resolveOrCreate(`find the place of "${destination}"`, destination, target, {
    arch: context.arch,
    kind: "directory",
    noSymlinks: FIXED_PLACE.has(type),
  });
  if (type === "tmpfs" && options.copyUp) {
    const mode = parseInt(options.data.find(({ key }) => key === "mode")?.value ?? "755", 8) & 0o7777;
    return { before, inside: [...place, ...copyUp(context, does, fd, target, mode)] };
  }
  return {
    [awaitsNetwork(context, type) ? "connected" : "before"]: before,
    inside: [...place, attach(does, fd, target), ...(isDev ? connectDevices(context, fd) : [])],
  };
}

/** The names under which one mount's steps know each other. */
interface Names {
  readonly does: string;
  readonly fd: string;
  readonly target: string;
}

function bind(context: Context, mount: Mount, options: MountOptions, { does, fd, target }: Names): Steps {
  const source = sourcePath(context, mount.source ?? "");
  const kind = context.sources.get(source) ?? "directory";
  const insidePath = pathInRoot(context.root, source);
  // A copy of a shared mount stays in its peer group: without this, mounts made inside would appear on the host. As in
  // runc that takes a shared root to ask for.
  const spreads = context.spec.linux?.rootfsPropagation?.endsWith("shared") ?? false;
  const first = spreads ? undefined : named("MS_SLAVE", PROPAGATION.SLAVE);
  const asked = insidePath === undefined
    ? undefined
    : askForMaps(context, mount, options, { does, fd, target });
  const open = [
    ...(insidePath === undefined
      ? openSource(context, does, source, { recursive: options.recursive, into: fd })
      : openInside(context, insidePath, options.recursive, { does, fd, target })),
    ...(asked?.inside ?? idMaps(context, mount, options, { does, fd, target })),
    ...bindAttributes(context, does, fd, { words: mount.options ?? [], options, first }),
  ];
  const place = resolveOrCreate(`find the place of "${mount.destination}"`, mount.destination, target, {
    arch: context.arch,
    kind,
  });
  if (insidePath !== undefined) {
    return { served: asked?.served ?? [], inside: [...open, ...place, attach(does, fd, target)] };
  }
  const inside = [...place, attach(does, fd, target)];
  if (!context.launcherOpens) return { before: open, inside };
  return { launcher: open, mapped: mount.uidMappings ? [] : mapFiles(context, does, fd), inside };
}

/** A source that lies in the root file system is what is there when its turn comes: earlier mounts may have made it. */
function* openInside(
  { arch }: Context,
  path: string,
  recursive: boolean,
  { does, fd }: Names,
): Iterable<Op> {
  const source = `${fd}:source`;
  yield resolve(`find "${path}" in the root`, path, source, { arch });
  yield cloneMount(does, slot(source), "", recursive, fd);
}

/** Whether the ids of a mount are mapped. */
function isMapped({ idRange }: Context, { uidMappings }: Mount, { idmap }: MountOptions): boolean {
  return uidMappings !== undefined || (idmap !== undefined && !idRange);
}

/** Without maps of its own the mount takes those of the sandbox. */
function mapsOf({ spec }: Context, mount: Mount, { idmap }: MountOptions): Parameters<typeof askToMap>[2] {
  const uids = mount.uidMappings ?? spec.linux?.uidMappings ?? [];
  const gids = mount.gidMappings ?? spec.linux?.gidMappings ?? [];
  return { uids, gids, recursive: idmap === "ridmap" };
}

/** Init of a new user namespace has no right to map what the host's file systems have: who has opens nothing inside. */
function askForMaps(
  context: Context,
  mount: Mount,
  options: MountOptions,
  { does, fd }: Names,
): ReturnType<typeof askToMap> | undefined {
  if (!isMapped(context, mount, options)) return undefined;
  if (!context.launcherOpens || context.namespace("user") !== "new") return undefined;
  return askToMap(does, fd, mapsOf(context, mount, options));
}

function* idMaps(context: Context, mount: Mount, options: MountOptions, { does, fd }: Names): Iterable<Op> {
  if (!isMapped(context, mount, options)) return;
  const { spec } = context;
  const { uids, gids, recursive } = mapsOf(context, mount, options);
  const joined = spec.linux?.namespaces?.find(({ type }) => type === "user")?.path;
  if (joined !== undefined && !mount.uidMappings?.length) {
    // Which maps the namespace has that it joins the kernel knows best.
    yield* mapMountIdsAs(does, fd, joined, recursive);
    return;
  }
  yield* mapMountIds(does, fd, { uids, gids, recursive });
}

function* remount(
  context: Context,
  destination: string,
  options: MountOptions,
  target: string,
): Iterable<Op> {
  const does = `change the mount options of "${destination}"`;
  yield resolve(does, destination, target, { arch: context.arch });
  yield* optionAttributes(does, slot(target), options);
}
