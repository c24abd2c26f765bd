import { type Arch, O, O_DIRECTORY, O_NOFOLLOW } from "./abi.ts";
import type { CallerRequest } from "./caller.ts";
import { timeText } from "./clock.ts";
import { AT, AT_FDCWD } from "./kernel.ts";
import type { Kinds } from "./kinds.ts";
import { type Arg, flags, jump, mark, named, type Op, op, type Plan, slot, text, zeros } from "./op.ts";
import { namePidFile, writePidFile } from "./pid_file.ts";
import { MESSAGE, MESSAGE_BYTES } from "./protocol.ts";
import { type GroupSteps, makeGroups, removeMade } from "./recreate_groups.ts";
import { recreateLooks } from "./recreate_looks.ts";
import { nameStreams } from "./stream_names.ts";
import {
  digits,
  digitsOf,
  type Filling,
  finishNew,
  type Holed,
  openNew,
  putAll,
  putAt,
  putHoled,
} from "./texts.ts";
import {
  end,
  holdSignals,
  leave,
  makeImage,
  makeStatus,
  P_PID,
  type Stamp,
  startLauncher,
  waitFor,
  WEXITED,
} from "./unaided.ts";

/** The number that the stub of the executable gives to `create`, behind those of further programs. */
export const RECREATE = 8;

/** What the steps of creating one more container of a bundle are made from. */
export interface RecreateRequest {
  readonly arch: Arch;
  /** How long its id is; all else that differs is found out. */
  readonly idLength: number;
  /** Absolute path of the bundle, and that directory. */
  readonly bundle: string;
  readonly directory: Pick<Stamp, "inode" | "device">;
  /** The config.json that the image was made from, and what is kept of it. */
  readonly config: Stamp;
  readonly specText: string;
  /** The executable that made it. */
  readonly executable: Stamp;
  readonly kinds: Kinds;
  readonly caller: CallerRequest & {
    /** The effective ones below 32, as bits. */
    readonly capabilities: number;
    /** The text of /proc/self/cgroup. */
    readonly groups: string;
  };
  readonly bootId: string;
  /** The file system of the store, and its number in words. */
  readonly device: { readonly word: bigint; readonly text: string };
  /** The day on which all this can be done, as on the next: when it begins. */
  readonly daySeconds: number;
  readonly groups: readonly GroupSteps[];
  /** The record before and behind the making of all. */
  readonly intended: Holed;
  readonly record: Holed;
  /** What can be done to the container, by the number of digits that the pid of its first process has. */
  readonly moves: Readonly<Record<number, Holed>>;
  /** The files in its directory. */
  readonly names: Readonly<Record<"record" | "spec" | "moves" | "gate", string>>;
  /** The image, and where in it the id stands. */
  readonly elf: Uint8Array<ArrayBuffer>;
  readonly idsAt: readonly number[];
  /** Numbers of the signals that could end the command. */
  readonly signals: readonly number[];
  /** All that it depends on, in words. */
  readonly basis: string;
}

/** What is asked for, in the order in which the stub has it. */
const ASKED = ["id", "length", "pidFile", "store:path", "bundle:path"] as const;
const OPENED = [
  "file",
  "parent",
  "store",
  "entry",
  "image",
  "status:read",
  "status:write",
  "gate:read",
  "gate:write",
  "signals",
  "process",
];
/** The places of a record at which a stream is named. */
const STREAMS = [0, 1, 2] as const;
const QUOTE = text('"');
const LOCK = named("LOCK_EX|LOCK_NB", 6);
const REMOVEDIR = named("AT_REMOVEDIR", 0x200);
const STATX = { bytes: 256, inode: 32, device: 136 } as const;
const STATX_INO = named("STATX_INO", 0x100);
const FIFO = named("S_IFIFO|0600", 0o10600);
const [RDWR, NONBLOCK] = [2, 0o4000];
const TOP_BYTE = 1n << 56n;
/** Where the start of a process is in /proc/<pid>/stat, in spaces behind its name; and how far that may be. */
const [START_SPACES, MOST_NAME, STAT_BYTES] = [20, 64, 1024];
const emptyPath = flags("AT_", { EMPTY_PATH: AT.EMPTY_PATH });
const noFollow = flags("AT_", { SYMLINK_NOFOLLOW: AT.SYMLINK_NOFOLLOW });

/**
 * The steps of `create` for one more container of a bundle that was made twice: they do what `createChild` does. Who walks
 * through them is the executable itself, before it loads anything.
 *
 * Whatever is not as expected is left to Deno, which begins anew, when all that was done is undone. What cannot be undone
 * here, as nobody has told who init is, Deno finds in the directory without a record.
 */
export function planRecreate(request: RecreateRequest): Plan {
  return { arch: request.arch, sections: [{ by: "move", ops: [...steps(request)] }] };
}

function* steps(request: RecreateRequest): Iterable<Op> {
  const { arch, names, groups, elf, intended, record, basis } = request;
  yield op("take the bundle's directory", "let", [slot("failed")], { into: "bundle" });
  yield op("take what is asked for", "let", [slot("errno")], { into: "asked" });
  for (const [index, name] of ASKED.entries()) {
    yield op(`take ${name}`, "load", [slot("asked"), 8 * index, 1], { into: name });
  }
  const depends = { inside: text(basis), offset: 0 };
  yield op("depend on all this", "let", [depends], { into: "basis" });
  const places = groups.flatMap((_, index) => [`base:${index}`, `group:${index}`]);
  for (const fd of [...OPENED, ...places]) yield op("open nothing yet", "let", [-1], { into: fd });
  const made = groups.map((_, index) => `group:${index}:made`);
  for (const what of ["launcher", "init", "ready", "launched", "claimed", "known", ...made]) {
    yield op("start nothing yet", "let", [0], { into: what });
  }
  yield* holdSignals(request.signals, "bundle");
  const created = timeText(request.daySeconds);
  const fillings: Record<string, Filling> = {
    id: [slot("id"), request.idLength],
    created: [created, created.bytes.length],
  };
  yield* recreateLooks(request, created);
  yield* claim(request);
  yield* makeGate(request);
  yield* nameStreams();
  yield* makeIdentity(request);
  yield* putFile("keep config.json", names.spec, request.specText, arch);
  yield* writeRecord(request, "intended", intended, fillings);
  yield* makeGroups(groups, arch);
  yield* makeImage(elf, nameImage(request));
  yield* makeStatus();
  yield op("is the pid to be told?", "let", [slot("pidFile")], { zero: "pid:unnamed" });
  yield* namePidFile();
  yield mark("pid:unnamed");
  yield* startLauncher();
  yield op("know that there was a launcher", "let", [1], { into: "launched" });
  yield* hear();
  yield* nameInit(request);
  yield op("is the pid to be told?", "let", [slot("pidFile")], { zero: "pid:untold" });
  yield op("tell the pid", "let", [slot("init")], { into: "program" });
  yield* writePidFile();
  yield mark("pid:untold");
  const named = { ...fillings, pid: digits("init"), start: digits("start") };
  yield* writeRecord(request, "record", record, named);
  yield* writeMoves(request, named);
  yield op("leave it to itself", "exit_group", [0], { label: "done" });
  yield mark("stopped");
  yield* leave(["launcher"], [...OPENED, ...places, "bundle"], undo(request));
}

/** As `Store.claim` does: its directory is new, and locked. */
function* claim({ arch, device, names }: RecreateRequest): Iterable<Op> {
  const does = "claim the id";
  const how = { DIRECTORY: O_DIRECTORY[arch], NOFOLLOW: O_NOFOLLOW[arch], CLOEXEC: O.CLOEXEC };
  yield op(does, "mkdirat", [slot("store"), slot("id"), named("0711", 0o711)]);
  yield op(does, "openat", [slot("store"), slot("id"), flags("O_", how), 0], { into: "entry" });
  yield op(does, "flock", [slot("entry"), LOCK]);
  const [now, ours] = [zeros(STATX.bytes, "statx"), zeros(STATX.bytes, "statx")];
  yield op(does, "statx", [slot("store"), slot("id"), noFollow, STATX_INO, now]);
  yield op(does, "statx", [slot("entry"), "", emptyPath, STATX_INO, ours]);
  yield op(does, "load", [{ inside: now, offset: STATX.inode }, 0], { into: "word" });
  yield op(does, "load", [{ inside: ours, offset: STATX.inode }, 0], { into: "entry:inode" });
  yield op(does, "let", [slot("word"), slot("entry:inode"), -1], { zero: "claim:same", positive: "fail" });
  yield op(does, "load", [{ inside: ours, offset: STATX.device }, 0], {
    label: "claim:same",
    into: "word",
  });
  yield op(does, "let", [slot("word"), -device.word, 1], { zero: "claim:device", positive: "fail" });
  // Whoever finds the directory before it is locked takes it for his.
  yield op(does, "faccessat2", [slot("entry"), names.record, 0, 0], {
    label: "claim:device",
    ignore: ["ENOENT"],
    ignored: "claim:new",
    zero: "fail",
    positive: "fail",
  });
  yield op(does, "let", [1], { label: "claim:new", into: "claimed" });
}

function* putFile(does: string, name: string, content: string, arch: Arch): Iterable<Op> {
  yield openNew(does, `${name}.new`, arch);
  yield* putAll(does, name, text(content));
  yield* finishNew(does, `${name}.new`, name);
}

function* writeRecord(
  { arch, names }: RecreateRequest,
  name: string,
  holed: Holed,
  fillings: Readonly<Record<string, Filling>>,
): Iterable<Op> {
  const does = `write the ${name}`;
  yield openNew(does, `${names.record}.new`, arch);
  yield* putHoled(does, name, holed, fillings);
  for (const fd of STREAMS) {
    const [at = 0] = holed.holes[`stream${fd}`] ?? [];
    const [length, label] = [slot(`stream:${fd}:length`), `${name}:stream:${fd}`];
    yield* putAt(does, `${label}:begin`, at, [QUOTE, 1]);
    yield* putAt(does, `${label}:name`, at + 1, [slot(`stream:${fd}`), length]);
    yield op(does, "let", [at + 1, length, 1], { into: "at" });
    yield* putAt(does, `${label}:end`, slot("at"), [QUOTE, 1]);
  }
  yield* finishNew(does, `${names.record}.new`, names.record);
}

/** The fifo at which init waits for the start: it gets both ends. */
function* makeGate({ arch, names }: RecreateRequest): Iterable<Op> {
  const does = "make the start gate";
  const rest = O_NOFOLLOW[arch] | O.CLOEXEC;
  yield op(does, "mknodat", [slot("entry"), names.gate, FIFO, 0]);
  const both = named("O_RDWR|O_NOFOLLOW|O_CLOEXEC", RDWR | rest);
  yield op(does, "openat", [slot("entry"), names.gate, both, 0], { into: "gate:read" });
  const write = named("O_WRONLY|O_NONBLOCK|O_NOFOLLOW|O_CLOEXEC", O.WRONLY | NONBLOCK | rest);
  yield op(does, "openat", [slot("entry"), names.gate, write, 0], { into: "gate:write" });
}

/** What its cgroups are marked by, put together in the fifo, at which nobody is yet. */
function* makeIdentity({ device }: RecreateRequest): Iterable<Op> {
  const does = "name the directory";
  const begin = text(`${device.text}:`);
  const whole = zeros(64, "identity");
  yield* digitsOf("entry:inode");
  yield op(does, "write", [slot("gate:write"), begin, begin.bytes.length]);
  yield op(does, "write", [slot("gate:write"), ...digits("entry:inode")]);
  yield op(does, "let", [slot("entry:inode:length"), begin.bytes.length, 1], { into: "identity:length" });
  yield op(does, "read", [slot("gate:read"), whole, slot("identity:length")], { into: "count" });
  yield op(does, "let", [slot("count"), slot("identity:length"), -1], {
    zero: "identity:whole",
    positive: "fail",
  });
  yield op(does, "let", [{ inside: whole, offset: 0 }], { label: "identity:whole", into: "identity" });
}

/** The paths of the cgroups in the image get the id. */
function* nameImage({ idsAt, idLength }: RecreateRequest): Iterable<Op> {
  const does = "name the container in the image";
  for (const at of idsAt) {
    yield op(does, "pwrite64", [slot("image"), slot("id"), idLength, at], { into: "count" });
    yield op(does, "let", [slot("count"), -idLength, 1], { zero: `image:${at}`, positive: "fail" });
    yield mark(`image:${at}`);
  }
}

const message = zeros(MESSAGE_BYTES, "message");
const told: Arg = { inside: message, offset: 8 };
const NOW = { struct: "timespec", members: [["sec", 8, 0], ["nsec", 8, 0]] } as const;

/** Whether something was said that was not heard: goes on with `heard` or `silent`. */
function* isThereMore(labels: { readonly heard: string; readonly silent: string }): Iterable<Op> {
  const does = "was there more to hear?";
  yield op(does, "let", [slot("status:read"), 1, 1n << 32n], { into: "more:poll" });
  yield op(does, "ppoll", [{ address: "more:poll" }, 1, NOW, 0, 8], {
    zero: labels.silent,
    positive: labels.heard,
    failed: labels.silent,
  });
}

/** Hears who init is and that it is ready: each may come first. */
function* hear(): Iterable<Op> {
  const does = "hear of the launch";
  yield* waitFor("status:read", { again: "hear", signal: "fail", failed: "fail" });
  yield op(does, "read", [slot("status:read"), message, MESSAGE_BYTES], { zero: "fail" });
  yield op(does, "load", [message, 0], { into: "what" });
  yield op(does, "let", [slot("what"), -MESSAGE.cloned, 1], { zero: "cloned" });
  yield op(does, "let", [slot("what"), -MESSAGE.ready, 1], { zero: "ready", positive: "fail" });
  yield op(does, "load", [told, 0], { label: "cloned", into: "init" });
  yield op("is it ready?", "let", [slot("ready")], { zero: "hear", positive: "both" });
  yield op(does, "let", [1], { label: "ready", into: "ready" });
  yield op("know init", "let", [slot("init")], { positive: "both" });
  // The launcher tells who it is, or has ended before it could.
  yield op("take the launcher's end", "waitid", [P_PID, slot("launcher"), 0, WEXITED, 0]);
  yield op("take the launcher's end", "let", [0], { into: "launcher" });
  yield* isThereMore({ heard: "hear", silent: "fail" });
  yield op("is the launcher there?", "let", [slot("launcher")], { label: "both", zero: "departed" });
  yield op("take the launcher's end", "waitid", [P_PID, slot("launcher"), 0, WEXITED, 0]);
  yield op("take the launcher's end", "let", [0], { into: "launcher" });
  yield mark("departed");
}

/** What a record says of init: its pid and start; and the number that no other process gets. */
function* nameInit({ arch }: RecreateRequest): Iterable<Op> {
  const does = "name init";
  const info = zeros(STATX.bytes, "statx");
  yield op(does, "pidfd_open", [slot("init"), 0], { into: "process" });
  yield op(does, "statx", [slot("process"), "", emptyPath, STATX_INO, info]);
  yield op(does, "load", [{ inside: info, offset: STATX.inode }, 0], { into: "inode" });
  yield op(does, "let", [0, slot("inode"), -1], { into: "negative inode" });
  yield* digitsOf("init");
  const how = flags("O_", { PATH: O.PATH, DIRECTORY: O_DIRECTORY[arch], CLOEXEC: O.CLOEXEC });
  yield op(does, "openat", [AT_FDCWD, "/proc", how, 0], { into: "parent" });
  yield op(does, "openat", [slot("parent"), slot("init:at"), how, 0], { into: "file" });
  yield op(does, "close", [slot("parent")]);
  yield op(does, "let", [slot("file")], { into: "parent" });
  yield op(does, "openat", [slot("parent"), "stat", flags("O_", { CLOEXEC: O.CLOEXEC }), 0], {
    into: "file",
  });
  const stat = zeros(STAT_BYTES + 8, "stat");
  yield op(does, "read", [slot("file"), stat, STAT_BYTES], { zero: "fail" });
  yield op(does, "close", [slot("file")]);
  yield op(does, "let", [-1], { into: "file" });
  yield op(does, "let", [{ inside: stat, offset: 0 }], { into: "cursor" });
  yield* skipTo(")", 1, "stat:name");
  yield* skipTo(" ", START_SPACES, "stat:start");
  yield op(does, "let", [slot("cursor"), 1, 1], { into: "start:at" });
  yield op(does, "let", [slot("start:at")], { into: "cursor" });
  yield* skipTo(" ", 1, "stat:end");
  yield op(does, "let", [slot("cursor"), slot("start:at"), -1], { into: "start:length" });
}

/** Moves slot `cursor` on to the character that comes for this time. */
function* skipTo(character: string, times: number, name: string): Iterable<Op> {
  const does = "read /proc/<pid>/stat";
  const expected = BigInt(character.charCodeAt(0)) << 56n;
  yield op(does, "let", [times], { into: "times" });
  yield op(does, "let", [MOST_NAME + 20 * times], { into: "room" });
  yield op(does, "load", [slot("cursor"), 0], { label: `${name}:next`, into: "word" });
  yield op(does, "let", [-expected, slot("word"), TOP_BYTE], { positive: `${name}:other` });
  yield op(does, "let", [slot("times"), -1, 1], { into: "times", zero: `${name}:found` });
  yield op(does, "let", [slot("cursor"), 1, 1], { label: `${name}:other`, into: "cursor" });
  yield op(does, "let", [slot("room"), -1, 1], {
    into: "room",
    zero: "fail",
    positive: `${name}:next`,
  });
  yield mark(`${name}:found`);
}

/** What is missing of them costs time alone. */
function* writeMoves(
  { arch, names, moves }: RecreateRequest,
  fillings: Readonly<Record<string, Filling>>,
): Iterable<Op> {
  const does = "keep what can be done to it";
  for (const count of Object.keys(moves)) {
    yield op(does, "let", [slot("init:length"), -Number(count), 1], { zero: `moves:${count}` });
  }
  yield jump("done");
  const all: Readonly<Record<string, Filling>> = {
    ...fillings,
    "pid word": [{ address: "init" }, 8],
    "inode word": [{ address: "negative inode" }, 8],
  };
  const temporary = `${names.moves}.new`;
  for (const [count, holed] of Object.entries(moves)) {
    yield mark(`moves:${count}`);
    yield openNew(does, temporary, arch, "done");
    yield* putHoled(does, `moves:${count}`, holed, all, "moves:undo");
    yield op(does, "renameat2", [slot("entry"), temporary, slot("entry"), names.moves, 0], {
      zero: "done",
      failed: "moves:undo",
    });
  }
  yield op("keep no part of it", "unlinkat", [slot("entry"), temporary, 0], {
    label: "moves:undo",
    zero: "done",
    failed: "done",
  });
}

/** Takes away what was made, the launcher having ended. */
function* undo({ names, groups }: RecreateRequest): Iterable<Op> {
  yield op("was anything made?", "let", [slot("claimed")], { zero: "undone" });
  yield op("was there a launcher?", "let", [slot("launched")], { zero: "undo:nobody" });
  yield op("know init", "let", [slot("init")], { positive: "undo:init" });
  const does = "hear the launcher's last word";
  const silent = "undo:files";
  yield mark("undo:hear");
  yield* isThereMore({ heard: "undo:read", silent });
  yield op(does, "read", [slot("status:read"), message, MESSAGE_BYTES], {
    label: "undo:read",
    zero: silent,
    failed: silent,
  });
  yield op(does, "load", [message, 0], { into: "what" });
  yield op(does, "let", [slot("what"), -MESSAGE.cloned, 1], { positive: "undo:hear" });
  yield op(does, "load", [told, 0], { into: "init" });
  yield mark("undo:init");
  yield* end("init", "undo:nobody");
  yield op("know that nobody waits", "let", [1], { into: "known" });
  yield mark("undo:files");
  yield* removeMade(groups);
  const files = [names.moves, names.spec, names.record].flatMap((name) => [`${name}.new`, name]);
  for (const name of files) yield* remove(name);
  // Whoever waits at the gate, and is not known, is found by it.
  yield op("does anybody wait?", "let", [slot("known")], { zero: "undone" });
  yield* remove(names.gate);
  yield op("remove its directory", "unlinkat", [slot("store"), slot("id"), REMOVEDIR], { failed: "undone" });
  yield mark("undone");
}

function* remove(name: string): Iterable<Op> {
  yield op(`remove "${name}"`, "unlinkat", [slot("entry"), name, 0], { failed: `undo:${name}` });
  yield mark(`undo:${name}`);
}
