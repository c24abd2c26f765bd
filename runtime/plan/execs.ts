import { type Arch, O } from "./abi.ts";
import { type CallerRequest, findCaller, type Place } from "./caller.ts";
import { compareDocument, compareLine, type LineWord } from "./exec_line.ts";
import { findAlive, findFirst, findThawed, type FirstProcess, readFile } from "./first_process.ts";
import { GIVEN_BYTES, giveWords } from "./given.ts";
import { AT, AT_FDCWD, RESOLVE } from "./kernel.ts";
import { flags, jump, mark, named, type Op, op, type Plan, slot, type Struct, text, zeros } from "./op.ts";
import { findPidDirectory, writePidFile } from "./pid_file.ts";
import { MESSAGE, MESSAGE_BYTES } from "./protocol.ts";
import {
  beginWithNothing,
  CLD_EXITED,
  connectLauncher,
  end,
  holdSignals,
  isStill,
  LAUNCH_FDS,
  leave,
  makeImage,
  openGate,
  P_PID,
  readEnd,
  type Stamp,
  startLauncher,
  waitFor,
  WEXITED,
} from "./unaided.ts";

/** The number that the stub of the executable gives to `exec ID PROGRAM…`, behind that of a rerun. */
export const EXEC = 6;
/** The same for `exec FLAGS ID …`. */
export const EXEC_FLAGGED = 7;

/** What the steps of running further programs in a container are made from. */
export interface ExecsRequest {
  readonly arch: Arch;
  /** Its first process, and the files that say whether it is frozen. */
  readonly init: FirstProcess;
  readonly frozen: readonly string[];
  /** What is known of it, in the files of its directory. */
  readonly files: Readonly<Record<string, Stamp>>;
  /** The executable that made the image. */
  readonly executable: Stamp;
  /** The group of the caller, and how many files it may have open. */
  readonly caller: Pick<CallerRequest, "gid" | "openFiles">;
  /** The namespaces of the caller and of the first process, by the names of their files. */
  readonly namespaces: Readonly<Record<string, { readonly own: Place; readonly its: Place }>>;
  /** The cgroups to join; those that must hand on no controllers to groups below. */
  readonly groups: Readonly<Record<string, Place>>;
  readonly leaves: readonly string[];
  /** The container's /etc/passwd, if it names the home directory; nothing if there was none. */
  readonly passwd?: Stamp | "nothing" | undefined;
  /** The image, and where in its file the words of the program go; it searches these directories for a name. */
  readonly elf: Uint8Array<ArrayBuffer>;
  readonly givenAt: number;
  readonly directories: readonly string[];
  /** Numbers of the signals that are meant for the program. */
  readonly signals: readonly number[];
  /** What stood on the command line, where there were flags. */
  readonly flagged?: Flagged | undefined;
}

/** A command line with flags. */
export interface Flagged {
  /** The words before the id. */
  readonly line: readonly LineWord[];
  readonly id: string;
  /** The content of the file that the whole process is from: then the image has the words already. */
  readonly document?: Uint8Array | undefined;
  /** Whether the command ends when the program has begun. */
  readonly detached: boolean;
}

const OPENED = ["file", "process", "root", ...LAUNCH_FDS, "program:process"];
const [F_ADD_SEALS, SHRINK_AND_GROW] = [named("F_ADD_SEALS", 1033), named("SHRINK|GROW", 6)];
const LOST = text(
  "runtime: exec failed: Cannot supervise the program: the kernel lets nobody watch it; it was ended\n",
);
const DONT_SYNC = 0x4000;
/** A file system in user space is not asked for what the kernel does not know (openat2(2)): that could take for ever. */
const CACHED = 0x20;

/**
 * The steps of `exec [FLAGS] ID PROGRAM…` when a program was run in that container before: they check that it is still what the
 * image was made from, put the words of the command line into it, start it, pass on signals and wait for the program's
 * end. Who walks through them is the executable itself, before it loads anything.
 *
 * Whatever is not as expected before the program begins leaves all to Deno, which begins anew, and says what is wrong.
 */
export function planExecs(request: ExecsRequest): Plan {
  return { arch: request.arch, sections: [{ by: "move", ops: [...steps(request)] }] };
}

function* steps(request: ExecsRequest): Iterable<Op> {
  yield op("take the container's directory", "let", [slot("failed")], { into: "directory" });
  yield op("take the words of the program", "let", [slot("errno")], { into: "words" });
  yield* beginWithNothing(OPENED, ["launcher", "program", "ready"]);
  yield* holdSignals(request.signals, "directory");
  const { flagged } = request;
  const { line = [], id = "", document, detached = false } = flagged ?? {};
  if (flagged) yield* compareLine(line, id, document === undefined);
  if (document) yield* compareDocument(document);
  yield* isStill("/proc/self/exe", [AT_FDCWD, "/proc/self/exe", 0], request.executable);
  const own = Object.entries(request.namespaces).map(([name, { own }]) => [name, own]);
  yield* findCaller({ ...request.caller, namespaces: Object.fromEntries(own) });
  yield* findContainer(request);
  yield* makeImage(request.elf, document ? [] : fill(request));
  yield* connectLauncher();
  const tellsPid = line.some((word) => typeof word !== "string" && word.path === "pidFile");
  if (tellsPid) yield* findPidDirectory();
  yield* startLauncher(["process"]);
  yield* hearOfLauncher();
  yield* hearOfProgram(tellsPid ? [...writePidFile(request.arch)] : []);
  if (detached) yield op("leave the program to itself", "exit_group", [0], { label: "wait" });
  else yield* wait();
  yield* endLost();
  yield mark("stopped");
  yield mark("paused");
  yield* leave(["launcher", "program"], [...OPENED, "directory"]);
}

function* findContainer(request: ExecsRequest): Iterable<Op> {
  const { init, frozen, files, namespaces, groups, leaves, passwd } = request;
  const noFollow = flags("AT_", { SYMLINK_NOFOLLOW: AT.SYMLINK_NOFOLLOW });
  for (const [name, stamp] of Object.entries(files)) {
    yield* isStill(name, [slot("directory"), name, noFollow], stamp);
  }
  yield* findFirst(init);
  for (const [name, { its }] of Object.entries(namespaces)) {
    const path = `/proc/${init.pid}/ns/${name}`;
    yield* isStill(path, [AT_FDCWD, path, 0], its);
  }
  if (passwd) yield* findPasswd(init.pid, passwd);
  yield* findAlive(); // all this was about the very process
  yield* findThawed(frozen);
  for (const [path, place] of Object.entries(groups)) {
    yield* isStill(path, [AT_FDCWD, path, noFollow], place);
  }
  for (const group of leaves) {
    const next = `leaf:${group}`;
    yield* readFile(`${group}/cgroup.subtree_control`, zeros(8, "controllers"), 8);
    yield op("find that it hands on nothing", "let", [slot("count")], { zero: next });
    yield op("find that it hands on nothing", "let", [slot("count"), -1, 1], {
      zero: next,
      positive: "fail",
    });
    yield mark(next);
  }
}

function* findPasswd(pid: number, passwd: Stamp | "nothing"): Iterable<Op> {
  const does = "find the container's /etc/passwd as it was";
  const how = flags("O_", { PATH: O.PATH, CLOEXEC: O.CLOEXEC });
  yield op(does, "openat", [AT_FDCWD, `/proc/${pid}/root`, how, 0], { into: "root" });
  const resolve = flags("RESOLVE_", {
    IN_ROOT: RESOLVE.IN_ROOT,
    NO_MAGICLINKS: RESOLVE.NO_MAGICLINKS,
    CACHED,
  });
  const openHow: Struct = {
    struct: "open_how",
    members: [["flags", 8, how], ["mode", 8, 0], ["resolve", 8, resolve]],
  };
  const isNothing = passwd === "nothing";
  yield op(does, "openat2", [slot("root"), "etc/passwd", openHow, 24], {
    into: "file",
    ...(isNothing && { ignore: ["ENOENT"], ignored: "no passwd", zero: "fail", positive: "fail" }),
  });
  if (isNothing) return yield mark("no passwd");
  const look = flags("AT_", { EMPTY_PATH: AT.EMPTY_PATH, STATX_DONT_SYNC: DONT_SYNC });
  yield* isStill("/etc/passwd", [slot("file"), "", look], passwd);
  yield op(does, "close", [slot("file")]);
}

/** The image takes the words that the command line has, and nothing else can be written to it. */
function* fill({ givenAt, directories }: ExecsRequest): Iterable<Op> {
  const does = "leave room for the program's words";
  yield op(does, "ftruncate", [slot("image"), givenAt + GIVEN_BYTES]);
  yield op(does, "fcntl", [slot("image"), F_ADD_SEALS, SHRINK_AND_GROW]);
  yield* giveWords(givenAt, directories);
}

/** The launcher ends when it has told who the program is; if it cannot, whoever was to be that ends at the gate. */
function* hearOfLauncher(): Iterable<Op> {
  const does = "see how the launcher ended";
  const info = zeros(128, "siginfo");
  yield op(does, "waitid", [P_PID, slot("launcher"), info, WEXITED, 0]);
  yield op(does, "let", [0], { into: "launcher" });
  yield op(does, "load", [{ inside: info, offset: 8 }, 0], { into: "end" });
  yield op(does, "let", [slot("end"), -CLD_EXITED, 1], { zero: "launcher:exited", positive: "fail" });
  yield op(does, "load", [{ inside: info, offset: 24 }, 0], { label: "launcher:exited", into: "status" });
  yield op(does, "let", [slot("status")], { zero: "hear", positive: "fail" });
}

/** Opens the gate for the program that was told of, behind `tell`; the end of the socket says that it has begun. */
function* hearOfProgram(tell: readonly Op[]): Iterable<Op> {
  const does = "hear of the program";
  const message = zeros(MESSAGE_BYTES, "message");
  yield op(does, "read", [slot("status:read"), message, MESSAGE_BYTES], {
    label: "hear",
    zero: "silent",
    failed: "unheard",
  });
  yield op(does, "load", [message, 0], { into: "what" });
  yield op(does, "let", [slot("what"), -MESSAGE.cloned, 1], { zero: "cloned" });
  yield op(does, "let", [slot("what"), -MESSAGE.ready, 1], { zero: "ready", positive: "fail" });
  yield op(does, "load", [{ inside: message, offset: 8 }, 0], { label: "cloned", into: "program" });
  yield op("hold the program", "pidfd_open", [slot("program"), 0], { into: "program:process" });
  yield* tell;
  yield* openGate();
  yield jump("hear");
  yield op(does, "let", [1], { label: "ready", into: "ready" });
  yield jump("hear");
  yield op("was it ready?", "let", [slot("ready")], { label: "silent", zero: "fail", positive: "wait" });
  yield op("can it have begun?", "let", [slot("program")], {
    label: "unheard",
    zero: "fail",
    positive: "lost",
  });
}

/** From here on there is a program, which nothing begins anew: its end is that of the command. */
function* wait(): Iterable<Op> {
  yield* waitFor("program:process", { again: "wait", signal: "signal", failed: "deaf" });
  yield* readEnd("program", WEXITED, { label: "deaf", failed: "lost" });
  yield op("did it exit?", "let", [slot("end"), -CLD_EXITED, 1], { zero: "exited", positive: "killed" });
  yield op("tell of its signal", "let", [slot("status"), 128, 1], { label: "killed", into: "status" });
  yield op("end", "exit_group", [slot("status")], { label: "exited", failed: "lost" });
  yield* passSignal();
}

/** Nobody can wait for the program, or learn whether it has begun. */
function* endLost(): Iterable<Op> {
  yield mark("lost");
  yield* end("program", "lost:ended");
  yield op("say what happened", "write", [2, LOST, LOST.bytes.length], { failed: "lost:told" });
  yield op("end", "exit_group", [255], { label: "lost:told" });
}

function* passSignal(): Iterable<Op> {
  const info = zeros(128, "signalfd_siginfo");
  const does = "pass the signal on";
  // Its number has four bytes; those behind it, an errno, are 0.
  yield op(does, "read", [slot("signals"), info, 128], { label: "signal", failed: "deaf" });
  yield op(does, "load", [info, 0], { into: "signal" });
  yield op(does, "pidfd_send_signal", [slot("program:process"), slot("signal"), 0, 0], {
    zero: "wait",
    failed: "wait",
  });
}
