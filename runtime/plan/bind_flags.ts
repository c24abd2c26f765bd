import type { Context } from "./context.ts";
import { MOUNT_ATTR, MOUNT_ATTR_ATIME } from "./kernel.ts";
import { optionAttributes, setAttributes } from "./mount_ops.ts";
import type { Attributes, MountOptions } from "./mount_options.ts";
import { mark, type Named, named, type Op, op, slot, type Struct, zeros } from "./op.ts";

/** Word → the flag of mount(2) that it sets. */
const SETS: Readonly<Record<string, string>> = {
  ro: "RDONLY",
  nosuid: "NOSUID",
  nodev: "NODEV",
  noexec: "NOEXEC",
  nosymfollow: "NOSYMFOLLOW",
  noatime: "NOATIME",
  nodiratime: "NODIRATIME",
  relatime: "RELATIME",
  strictatime: "STRICTATIME",
};
/** Word → the flag that it clears. */
const CLEARS: Readonly<Record<string, string>> = {
  rw: "RDONLY",
  suid: "NOSUID",
  dev: "NODEV",
  exec: "NOEXEC",
  symfollow: "NOSYMFOLLOW",
  atime: "NOATIME",
  diratime: "NODIRATIME",
  norelatime: "RELATIME",
  nostrictatime: "STRICTATIME",
};
/** Words of mount(2) for whole file systems: a bind has nothing of them, and yet they count as named. */
const OTHERS = new Set(
  "async dirsync iversion lazytime loud mand noiversion nolazytime nomand silent sync".split(" "),
);
/** What a user namespace keeps as it is on mounts that come from outside (mount_namespaces(7)). */
const LOCKED = ["RDONLY", "NOSUID", "NODEV", "NOEXEC"] as const;
const ATIMES = ["NOATIME", "NODIRATIME", "RELATIME", "STRICTATIME"];

/** Attributes to be set and cleared. */
interface Change {
  readonly set: Attributes;
  readonly clear: Attributes;
}

/** What the words of a bind's options say of flags; `undefined` if none is named, so that all stay as they are. */
function namedFlags(
  words: readonly string[],
): { readonly flags: Set<string>; readonly cleared: Set<string> } | undefined {
  const [flags, cleared] = [new Set<string>(), new Set<string>()];
  let isNamed = false;
  for (const word of words) {
    const [set, clear] = [SETS[word], CLEARS[word]];
    if (set === undefined && clear === undefined && !OTHERS.has(word)) continue;
    isNamed = true;
    if (set !== undefined) flags.add(set), cleared.delete(set);
    if (clear !== undefined) flags.delete(clear), cleared.add(clear);
  }
  return isNamed ? { flags, cleared } : undefined;
}

/** Access times stay as they are unless one of their flags is set; then all of them are as with mount(2). */
function accessTimes(flags: Set<string>): Change {
  if (!ATIMES.some((name) => flags.has(name))) return { set: {}, clear: {} };
  const kind = ["STRICTATIME", "NOATIME"].find((name) => flags.has(name));
  const directories = { NODIRATIME: MOUNT_ATTR.NODIRATIME };
  const without = flags.has("NODIRATIME");
  return {
    set: { ...(without && directories), ...(kind && valued([kind])) },
    clear: { _ATIME: MOUNT_ATTR_ATIME, ...(!without && directories) },
  };
}

function valued(names: readonly string[]): Attributes {
  return Object.fromEntries(names.map((name) => [name, MOUNT_ATTR[name as keyof typeof MOUNT_ATTR]]));
}

/**
 * The options of a bind as runc applies them: one that names any flag has the named ones and no others, whatever its
 * source has. What is asked for everything below stays.
 */
export function asNamed(words: readonly string[], options: MountOptions): MountOptions {
  const found = namedFlags(words);
  if (!found) return options;
  const names = [...LOCKED, "NOSYMFOLLOW"];
  const times = accessTimes(found.flags);
  const set = { ...valued(names.filter((name) => found.flags.has(name))), ...times.set };
  const clear = { ...valued(names.filter((name) => !found.flags.has(name))), ...times.clear };
  return { ...options, ...withoutDeep({ set, clear }, options) };
}

/** What is asked for everything below wins, as it comes last. */
function withoutDeep({ set, clear }: Change, { setAll, clearAll }: MountOptions): Change {
  const times = "_ATIME" in clearAll ? ["_ATIME", "NOATIME", "STRICTATIME"] : [];
  const left = (attributes: Attributes, gone: readonly string[]): Attributes =>
    Object.fromEntries(Object.entries(attributes).filter(([name]) => !gone.includes(name)));
  return {
    set: left(set, [...Object.keys(clearAll), ...times]),
    clear: left(clear, [...Object.keys(setAll), ...times]),
  };
}

/** What a bind in a user namespace asks to be changed although it is locked, and what may be changed anyway. */
export function lockedFlags(
  words: readonly string[],
  options: MountOptions,
): { readonly locked: Change; readonly free: MountOptions } {
  const { flags, cleared } = namedFlags(words) ?? { flags: new Set<string>(), cleared: new Set<string>() };
  const times = accessTimes(flags);
  const clear = valued(LOCKED.filter((name) => cleared.has(name)));
  const named = asNamed(words, options);
  const free = Object.entries(named.set).filter(([name]) => !(name in times.set));
  const follow = named.clear.NOSYMFOLLOW;
  return {
    locked: withoutDeep({ set: times.set, clear: { ...clear, ...times.clear } }, options),
    free: {
      ...options,
      set: Object.fromEntries(free),
      clear: follow === undefined ? {} : { NOSYMFOLLOW: follow },
    },
  };
}

/** The options of a bind with the flags that it will have, and those that it will not have. */
export function bindOptions(context: Context, words: readonly string[], options: MountOptions): MountOptions {
  if (!context.clearsFlags) return options;
  if (context.namespace("user") === "shared") return asNamed(words, options);
  const { locked, free } = lockedFlags(words, options);
  return { ...free, set: { ...free.set, ...locked.set }, clear: { ...free.clear, ...locked.clear } };
}

/** Where f_flags lies in `struct statfs` of 64-bit machines. */
const FLAGS_AT = 80;
const STATFS_BYTES = 120;

/** The attribute changes of a bind whose copy is in the slot `fd`. */
export function* bindAttributes(
  context: Context,
  does: string,
  fd: string,
  { words, options, first }: {
    readonly words: readonly string[];
    readonly options: MountOptions;
    readonly first: Named | undefined;
  },
): Iterable<Op> {
  if (!context.clearsFlags) return yield* optionAttributes(does, slot(fd), options, first);
  if (context.namespace("user") === "shared") {
    return yield* optionAttributes(does, slot(fd), asNamed(words, options), first);
  }
  const { locked, free } = lockedFlags(words, options);
  if (Object.keys(locked.clear).length > 0) yield* unlessChanged(does, fd, locked);
  yield* optionAttributes(does, slot(fd), free, first);
}

/** The kernel locks only what is copied with a whole namespace: what would change a flag of this copy is refused here. */
function* unlessChanged(does: string, fd: string, change: Change): Iterable<Op> {
  const [before, after, same] = [`${fd}:before`, `${fd}:after`, `${fd}:unchanged`];
  const look = function* (into: string): Iterable<Op> {
    const found = zeros(STATFS_BYTES, "statfs");
    yield op(does, "fstatfs", [slot(fd), found]);
    yield op(does, "load", [{ inside: found, offset: FLAGS_AT }, 0], { into });
  };
  yield* look(before);
  yield setAttributes(does, slot(fd), change);
  yield* look(after);
  yield op(does, "let", [slot(before), slot(after), -1], { into: "changed", zero: same });
  // More in effect than is permitted: the kernel changes nothing and says EPERM.
  yield op(`${CHANGE_LOCKED} to ${does}`, "capset", [NO_HEADER, TOO_MUCH]);
  yield mark(same);
}

/** How the step begins that refuses a change of locked flags. */
export const CHANGE_LOCKED = "change flags that a user namespace locks";

const NO_HEADER: Struct = {
  struct: "__user_cap_header_struct",
  members: [["version", 4, named("_LINUX_CAPABILITY_VERSION_3", 0x20080522)], ["pid", 4, 0]],
};
const TOO_MUCH: Struct = {
  struct: "__user_cap_data_struct[2]",
  members: [
    ["effective", 4, 1],
    ["permitted", 4, 0],
    ["inheritable", 4, 0],
    ["effective", 4, 0],
    ["permitted", 4, 0],
    ["inheritable", 4, 0],
  ],
};
