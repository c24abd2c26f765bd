import { O, O_DIRECTORY } from "./abi.ts";
import type { Context } from "./context.ts";
import { AT_FDCWD } from "./kernel.ts";
import { flags, mark, named, type Op, op, slot, type Struct, text, zeros } from "./op.ts";

/**
 * How often, and how long apart, groups are tried whose processes are being killed: for ten minutes, as a machine may be
 * so busy that they take long to die, and who gives up leaves them there for good.
 */
const [TRIES, PAUSE_NANOSECONDS] = [30_000, 20_000_000];
/** `struct linux_dirent64`: where the inode, the length, the type and the name of an entry are (getdents64(2)). */
const [INODE, LENGTH, TYPE, NAME] = [0, 16, 18, 19];
const DT_DIR = 4n;
const BUFFER_BYTES = 4096;
/** `struct statx` and the inode in it (statx(2)). */
const [STATX_BYTES, STATX_INODE] = [256, 32];
const does = "remove the cgroups";

/**
 * What the guard does for a supervisor that died: kills all that is in the groups and removes them, with the groups that
 * the sandbox made below them. It walks each tree by changing its directory, and visits every group in it once; then
 * it does so again, until nothing is left or it has tried often enough.
 */
export function* removeGroups({ groups = [], arch }: Context): Iterable<Op> {
  if (groups.length === 0) return;
  for (const { directory } of groups.filter(({ version }) => version === 2)) yield* kill(directory);
  const paths = { strings: groups.map(({ directory }) => directory) };
  yield set("remove:tries", TRIES);

  yield { ...set("remove:group", 0), label: "remove:pass" };
  yield set("remove:again", 0);
  yield op(does, "load", [paths, slot("remove:group"), 8], {
    label: "remove:top",
    into: "remove:path",
    zero: "remove:end",
  });
  yield op(does, "chdir", [slot("remove:path")], { failed: "remove:next" });
  yield set("remove:depth", 0);
  yield* enter();
  yield* entries(O_DIRECTORY[arch]);
  yield* up();

  // All below the topmost was visited.
  yield op(does, "unlinkat", [AT_FDCWD, slot("remove:path"), named("AT_REMOVEDIR", 0x200)], {
    label: "remove:last",
    zero: "remove:next",
    ignore: ["ENOENT"],
    ignored: "remove:next",
    failed: "remove:busy",
  });
  yield { ...set("remove:again", 1), label: "remove:busy" };
  yield { ...add("remove:group", 1), label: "remove:next", positive: "remove:top" };

  yield op(does, "let", [slot("remove:again")], { label: "remove:end", zero: "remove:over" });
  const time: Struct = { struct: "timespec", members: [["sec", 8, 0], ["nsec", 8, PAUSE_NANOSECONDS]] };
  yield op("wait for the processes of the cgroups", "ppoll", [0, 0, time, 0, 8], { failed: "remove:over" });
  yield { ...add("remove:tries", -1), positive: "remove:pass" };
  yield mark("remove:over");
}

function set(name: string, value: number): Op {
  return op(does, "let", [value], { into: name });
}

function add(name: string, value: number): Op {
  return op(does, "let", [slot(name), value, 1], { into: name });
}

/** Ends all processes in a group of version 2 and below, the frozen too; kernels before 5.14 have no such file. */
function* kill(directory: string): Iterable<Op> {
  const does = `end all in cgroup "${directory}"`;
  const over = `killed:${directory}`;
  const write = flags("O_", { WRONLY: O.WRONLY, CLOEXEC: O.CLOEXEC });
  yield op(does, "openat", [AT_FDCWD, `${directory}/cgroup.kill`, write, 0], { into: "file", failed: over });
  yield op(does, "write", [slot("file"), text("1"), 1], { failed: over });
  yield op(does, "close", [slot("file")], { failed: over });
  yield mark(over);
}

/** A group that was not seen before. Those that version 1 froze die only when they are let go (freezer-subsystem.rst). */
function* enter(): Iterable<Op> {
  const does = "thaw the cgroup";
  const write = flags("O_", { WRONLY: O.WRONLY, CLOEXEC: O.CLOEXEC });
  yield { ...set("remove:from", 0), label: "remove:enter" };
  yield op(does, "openat", [AT_FDCWD, "freezer.state", write, 0], { into: "file", failed: "remove:list" });
  yield op(does, "write", [slot("file"), text("THAWED"), 6], { failed: "remove:thawed" });
  yield op(does, "close", [slot("file")], { label: "remove:thawed", failed: "remove:list" });
}

/** Goes through the groups in the present directory, behind the inode in `remove:from` if there is one. */
function* entries(directory: number): Iterable<Op> {
  const buffer = zeros(BUFFER_BYTES, "entries");
  const how = flags("O_", { RDONLY: O.RDONLY, DIRECTORY: directory, CLOEXEC: O.CLOEXEC });
  yield op(does, "openat", [AT_FDCWD, ".", how, 0], {
    label: "remove:list",
    into: "remove:list",
    failed: "remove:busy",
  });
  yield op(does, "getdents64", [slot("remove:list"), buffer, BUFFER_BYTES], {
    label: "remove:more",
    into: "remove:left",
    zero: "remove:up",
    failed: "remove:up",
  });
  yield op(does, "let", [{ inside: buffer, offset: 0 }], { into: "remove:entry" });

  yield op(does, "let", [slot("remove:from")], { label: "remove:each", zero: "remove:type" });
  yield op(does, "load", [slot("remove:entry"), 1, INODE], { into: "remove:word" });
  yield op(does, "let", [slot("remove:word"), slot("remove:from"), -1], { positive: "remove:skip" });
  yield set("remove:from", 0);
  // It was just visited: whatever is still in it is left to the next time.
  yield { ...add("remove:entry", NAME), into: "remove:name" };
  yield op(does, "unlinkat", [AT_FDCWD, slot("remove:name"), named("AT_REMOVEDIR", 0x200)], {
    zero: "remove:skip",
    failed: "remove:skip",
  });

  // The lowest bytes of a word, moved to its upper end, are all of it: so numbers of 8 and 16 bits are told apart.
  yield op(does, "load", [slot("remove:entry"), 1, TYPE], { label: "remove:type", into: "remove:word" });
  yield op(does, "let", [-(DT_DIR << 56n), slot("remove:word"), 1n << 56n], { positive: "remove:skip" });
  yield op(does, "load", [slot("remove:entry"), 1, NAME], { into: "remove:word" });
  yield op(does, "let", [-(0x002en << 48n), slot("remove:word"), 1n << 48n], { zero: "remove:skip" }); // "."
  yield op(does, "let", [-(0x002e2en << 40n), slot("remove:word"), 1n << 40n], { zero: "remove:skip" }); // ".."
  yield { ...add("remove:entry", NAME), into: "remove:name" };
  yield op(does, "unlinkat", [AT_FDCWD, slot("remove:name"), named("AT_REMOVEDIR", 0x200)], {
    zero: "remove:skip",
    failed: "remove:down",
  });
  yield op(does, "chdir", [slot("remove:name")], { label: "remove:down", failed: "remove:skip" });
  yield op(does, "close", [slot("remove:list")], { failed: "remove:over" });
  yield { ...add("remove:depth", 1), positive: "remove:enter" };

  // The length of an entry is a multiple of 8: it is counted down while going on.
  yield op(does, "load", [slot("remove:entry"), 1, LENGTH], { label: "remove:skip", into: "remove:word" });
  yield op(does, "let", [0, slot("remove:word"), 1n << 48n], { into: "remove:length" });
  yield { ...add("remove:entry", 8), label: "remove:step" };
  yield add("remove:left", -8);
  yield op(does, "let", [slot("remove:length"), -(8n << 48n), 1], {
    into: "remove:length",
    positive: "remove:step",
  });
  yield op(does, "let", [slot("remove:left")], { zero: "remove:more", positive: "remove:each" });
}

/** Back to the group above, to go on behind the present one. */
function* up(): Iterable<Op> {
  const info = zeros(STATX_BYTES, "statx");
  const inode = named("STATX_INO", 0x100);
  yield op(does, "close", [slot("remove:list")], { label: "remove:up", failed: "remove:over" });
  yield op(does, "let", [slot("remove:depth")], { zero: "remove:last" });
  yield op(does, "statx", [AT_FDCWD, ".", 0, inode, info], { failed: "remove:busy" });
  yield op(does, "load", [{ inside: info, offset: STATX_INODE }, 0], { into: "remove:from" });
  yield op(does, "chdir", [".."], { failed: "remove:busy" });
  yield add("remove:depth", -1);
  yield op(does, "let", [1], { positive: "remove:list" });
}
