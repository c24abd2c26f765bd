import { type Arch, O, O_DIRECTORY, O_NOFOLLOW } from "./abi.ts";
import type { RightsRequest } from "./caller.ts";
import { timeText } from "./clock.ts";
import { AT } from "./kernel.ts";
import type { Kinds } from "./kinds.ts";
import { flags, jump, mark, named, type Op, op, type Plan, slot, text, zeros } from "./op.ts";
import { findPidDirectory, writePidFile } from "./pid_file.ts";
import { type GroupSteps, makeGroups } from "./recreate_groups.ts";
import { hear, nameInit } from "./recreate_init.ts";
import { recreateLooks } from "./recreate_looks.ts";
import { attend, letGo } from "./recreate_run.ts";
import { undo } from "./recreate_undo.ts";
import { nameStreams } from "./stream_names.ts";
import { tellWarnings } from "./tell_warnings.ts";
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
  beginWithNothing,
  holdSignals,
  LAUNCH_FDS,
  leave,
  makeImage,
  makeStatus,
  type Stamp,
  startLauncher,
} from "./unaided.ts";

/** What the steps of creating one more container of a bundle are made from. */
export interface RecreateRequest {
  readonly arch: Arch;
  /** Whether who makes it waits for its end: it has another image then. */
  readonly attached: boolean;
  /** How long its id is; all else that differs is found out. */
  readonly idLength: number;
  /** Absolute path of the bundle, and that directory. */
  readonly bundle: string;
  readonly directory: Pick<Stamp, "inode" | "device">;
  /** The config.json that the image was made from, and what is kept of it. */
  readonly config: Stamp;
  readonly specText: string;
  /** What is told of the bundle each time. */
  readonly warnings: readonly string[];
  /** The executable that made it. */
  readonly executable: Stamp;
  readonly kinds: Kinds;
  readonly caller: RightsRequest & {
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
  /** All that may come to be there, in the order in which they go; the last is what makes it a container. */
  readonly files: readonly string[];
  /** How long its first process may take to become the program. */
  readonly executeMs: number;
  /** The image, and where in it the id stands. */
  readonly elf: Uint8Array<ArrayBuffer>;
  readonly idsAt: readonly number[];
  /** Numbers of the signals that could end the command. */
  readonly signals: readonly number[];
  /** All that it depends on, in words. */
  readonly basis: string;
}

/** What is asked for, in the order in which the stub has it. */
const ASKED = ["id", "length", "pidFile", "store:path", "bundle:path", "log"] as const;
const OPENED = ["file", "parent", "store", "entry", ...LAUNCH_FDS, "process"];
/** The places of a record at which a stream is named. */
const STREAMS = [0, 1, 2] as const;
const QUOTE = text('"');
const LOCK = named("LOCK_EX|LOCK_NB", 6);
const STATX = { bytes: 256, inode: 32, device: 136 } as const;
const STATX_INO = named("STATX_INO", 0x100);
const FIFO = named("S_IFIFO|0600", 0o10600);
const [RDWR, NONBLOCK] = [2, 0o4000];
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
  yield op("take the command", "let", [slot("scratch")], { into: "command" });
  for (const [index, name] of ASKED.entries()) {
    yield op(`take ${name}`, "load", [slot("asked"), 8 * index, 1], { into: name });
  }
  const depends = { inside: text(basis), offset: 0 };
  yield op("depend on all this", "let", [depends], { into: "basis" });
  const places = groups.flatMap((_, index) => [`base:${index}`, `group:${index}`]);
  const made = groups.map((_, index) => `group:${index}:made`);
  const begun = ["launcher", "init", "ready", "launched", "claimed", "known", ...made];
  yield* beginWithNothing([...OPENED, ...places], begun);
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
  yield op("is the pid to be told?", "let", [slot("pidFile")], { zero: "pid:nowhere" });
  yield* findPidDirectory();
  yield mark("pid:nowhere");
  yield* startLauncher();
  yield op("know that there was a launcher", "let", [1], { into: "launched" });
  yield* hear();
  yield* nameInit(request);
  yield op("is the pid to be told?", "let", [slot("pidFile")], { zero: "pid:untold" });
  yield op("tell the pid", "let", [slot("init")], { into: "program" });
  yield* writePidFile(arch);
  yield mark("pid:untold");
  const named = { ...fillings, pid: digits("init"), start: digits("start") };
  yield* writeRecord(request, "record", record, named);
  yield* writeMoves(request, named);
  yield mark("written down");
  yield* tellWarnings(request.warnings);
  yield* request.attached ? attend(request) : letGo(request);
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
  yield* finishNew(does, `${name}.new`, name, false); // the record follows
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
  yield* finishNew(does, `${names.record}.new`, names.record, true);
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

/** What is missing of them costs time alone. */
function* writeMoves(
  { arch, names, moves }: RecreateRequest,
  fillings: Readonly<Record<string, Filling>>,
): Iterable<Op> {
  const does = "keep what can be done to it";
  for (const count of Object.keys(moves)) {
    yield op(does, "let", [slot("init:length"), -Number(count), 1], { zero: `moves:${count}` });
  }
  yield jump("written down");
  const all: Readonly<Record<string, Filling>> = {
    ...fillings,
    "pid word": [{ address: "init" }, 8],
    "inode word": [{ address: "negative inode" }, 8],
  };
  const temporary = `${names.moves}.new`;
  for (const [count, holed] of Object.entries(moves)) {
    yield mark(`moves:${count}`);
    yield openNew(does, temporary, arch, "written down");
    yield* putHoled(does, `moves:${count}`, holed, all, "moves:undo");
    yield op(does, "renameat2", [slot("entry"), temporary, slot("entry"), names.moves, 0], {
      zero: "written down",
      failed: "moves:undo",
    });
  }
  yield op("keep no part of it", "unlinkat", [slot("entry"), temporary, 0], {
    label: "moves:undo",
    zero: "written down",
    failed: "written down",
  });
}
