import type { Context } from "./context.ts";
import {
  AT,
  AT_FDCWD,
  FSCONFIG,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  MOUNT_ATTR,
  MOVE_MOUNT,
  OPEN_TREE,
  PROPAGATION,
} from "./kernel.ts";
import type { Attributes, MountOptions } from "./mount_options.ts";
import { type Arg, flags, type Named, named, type Op, op, slot, type Struct } from "./op.ts";

/** What {@linkcode newFileSystem} needs to know. */
export interface FileSystem {
  readonly type: string;
  readonly source?: string;
  readonly data: MountOptions["data"];
  readonly set: Attributes;
}

/** Makes a file system that is mounted nowhere yet; the slot `into` gets its root's descriptor. */
export function* newFileSystem(does: string, fs: FileSystem, into: string): Iterable<Op> {
  yield op(does, "fsopen", [fs.type, FSOPEN_CLOEXEC], { into: "fs" });
  const setString = named("FSCONFIG_SET_STRING", FSCONFIG.SET_STRING);
  yield op(does, "fsconfig", [slot("fs"), setString, "source", fs.source ?? fs.type, 0]);
  for (const { key, value } of fs.data) {
    const does2 = `${does} with option "${value === undefined ? key : `${key}=${value}`}"`;
    yield value === undefined
      ? op(does2, "fsconfig", [slot("fs"), named("FSCONFIG_SET_FLAG", FSCONFIG.SET_FLAG), key, 0, 0])
      : op(does2, "fsconfig", [slot("fs"), setString, key, value, 0]);
  }
  yield op(does, "fsconfig", [slot("fs"), named("FSCONFIG_CMD_CREATE", FSCONFIG.CMD_CREATE), 0, 0, 0]);
  yield op(does, "fsmount", [slot("fs"), FSMOUNT_CLOEXEC, flags("MOUNT_ATTR_", fs.set)], { into });
  yield op(does, "close", [slot("fs")]);
}

const CLONE = { OPEN_TREE_CLONE: OPEN_TREE.CLONE, OPEN_TREE_CLOEXEC: OPEN_TREE.CLOEXEC };
const HERE = { AT_EMPTY_PATH: AT.EMPTY_PATH };
const ALL = { AT_RECURSIVE: AT.RECURSIVE };
const CLONES = {
  path: { one: flags("", CLONE), all: flags("", { ...CLONE, ...ALL }) },
  here: { one: flags("", { ...CLONE, ...HERE }), all: flags("", { ...CLONE, ...HERE, ...ALL }) },
};

/** Copies the mount at a path, or with `path` empty at the descriptor `directory`, to one that is mounted nowhere yet. */
export function cloneMount(does: string, directory: Arg, path: string, recursive: boolean, into: string): Op {
  const how = CLONES[path === "" ? "here" : "path"][recursive ? "all" : "one"];
  return op(does, "open_tree", [directory, path, how], { into });
}

/** A copy of what the host has at `path`, which may be shared there: what is mounted on the copy does not come to the host. */
export function* privateClone(does: string, path: string, into: string): Iterable<Op> {
  yield cloneMount(does, AT_FDCWD, path, false, into);
  yield setAttributes(does, slot(into), { propagation: named("MS_PRIVATE", PROPAGATION.PRIVATE) });
}

const BY_DESCRIPTORS = flags("MOVE_MOUNT_", {
  F_EMPTY_PATH: MOVE_MOUNT.F_EMPTY_PATH,
  T_EMPTY_PATH: MOVE_MOUNT.T_EMPTY_PATH,
});

/** Mounts the tree of slot `from` on the directory or file of slot `onto`. */
export function attach(does: string, from: string, onto: string): Op {
  return op(does, "move_mount", [slot(from), "", slot(onto), "", BY_DESCRIPTORS]);
}

/** What {@linkcode setAttributes} changes; `struct mount_attr` of mount_setattr(2). */
export interface Change {
  readonly set?: Attributes;
  readonly clear?: Attributes;
  readonly propagation?: Named;
  readonly userNamespace?: Arg;
  readonly recursive?: boolean;
}

/** Changes the attributes of the mount at a descriptor (or of `path`). */
export function setAttributes(does: string, directory: Arg, change: Change, path = ""): Op {
  const { set = {}, clear = {}, propagation = 0, userNamespace = 0, recursive } = change;
  const attr: Struct = {
    struct: "mount_attr",
    members: [
      ["attr_set", 8, flags("MOUNT_ATTR_", set)],
      ["attr_clr", 8, flags("MOUNT_ATTR_", clear)],
      ["propagation", 8, propagation],
      ["userns_fd", 8, userNamespace],
    ],
  };
  const how = flags("AT_", {
    ...(path === "" && { EMPTY_PATH: AT.EMPTY_PATH }),
    ...(recursive && { RECURSIVE: AT.RECURSIVE }),
  });
  return op(does, "mount_setattr", [directory, path, how, attr, 32]);
}

/**
 * The attribute changes that the options of a copied mount ask for. `first` is the propagation of the whole tree before
 * the one that they name.
 */
export function* optionAttributes(
  does: string,
  directory: Arg,
  options: MountOptions,
  first?: Named,
): Iterable<Op> {
  const { set, clear, setAll, clearAll, propagation } = options;
  const wanted = propagation && named(propagation.name, propagation.value);
  // Only what takes every mount of the tree out of its peer group makes the first one needless.
  const replaced = propagation?.recursive && propagation.value !== PROPAGATION.SHARED;
  const whole = replaced ? wanted : first ?? (propagation?.recursive ? wanted : undefined);
  if (Object.keys(setAll).length + Object.keys(clearAll).length > 0 || whole) {
    const change = { set: setAll, clear: clearAll, recursive: true };
    yield setAttributes(does, directory, whole ? { ...change, propagation: whole } : change);
  }
  const left = whole === wanted ? undefined : wanted;
  const recursive = left !== undefined && propagation?.recursive === true;
  if (recursive) yield setAttributes(does, directory, { propagation: left, recursive });
  if (Object.keys(set).length + Object.keys(clear).length > 0 || (left && !recursive)) {
    const change = { set, clear };
    yield setAttributes(does, directory, left && !recursive ? { ...change, propagation: left } : change);
  }
}

/**
 * Shows the files of a detached mount to a sandbox with a range of ids as they are on the host: what belongs to the
 * host's root belongs to root inside. A file system that cannot do that shows them as nobody's.
 */
export function mapFiles({ idRange }: Context, does: string, mount: string): Op[] {
  if (!idRange) return [];
  const set = { IDMAP: MOUNT_ATTR.IDMAP };
  const step = setAttributes(does, slot(mount), { set, userNamespace: slot("init:userns") });
  return [{ ...step, ignore: ["EINVAL"] }];
}

/** The absolute form of a mount source: sources are relative to the bundle (OCI config.md, "Mounts"). */
export function sourcePath({ bundle }: Context, source: string): string {
  return source.startsWith("/") ? source : `${bundle}/${source}`;
}
