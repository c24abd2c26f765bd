import { type Arch, O, O_DIRECTORY, O_NOFOLLOW } from "./abi.ts";
import { AT, AT_FDCWD, CLONE, SIGKILL } from "./kernel.ts";
import {
  type Arg,
  type Bytes,
  flags,
  jump,
  mark,
  named,
  type Op,
  op,
  type Plan,
  slot,
  text,
  zeros,
} from "./op.ts";
import { FIRST_FREE_FD, GATE_FD, MESSAGE, MESSAGE_BYTES, STATUS_FD } from "./protocol.ts";
import { CLONE_ARGS_BYTES, cloneArgs, pipe, SIGCHLD, twoDescriptors } from "./userns.ts";

/** The number that the stub of the executable gives to `run DIR`, behind those of containers' moves: `tools/build/stub_x86_64.S`. */
export const RERUN = 5;

/** A file as it was: whoever changes it changes one of these. */
export interface Stamp {
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  /** Of the last change to its content or inode: seconds and nanoseconds. */
  readonly changed: readonly [seconds: bigint, nanoseconds: bigint];
  /** Major and minor number of its file system, in one word as in struct statx. */
  readonly device: bigint;
}

/** What the steps of running a bundle once more are made from. */
export interface RerunRequest {
  readonly arch: Arch;
  /** Absolute path of the bundle, by which the image knows its files; and that directory. */
  readonly bundle: string;
  readonly directory: Pick<Stamp, "inode" | "device">;
  /** The config.json that the image was made from. */
  readonly config: Stamp;
  /** The executable that made it. */
  readonly executable: Stamp;
  /** What must lie at the paths that the image depends on: `root` is a directory to which no link leads, a stamp that very file. */
  readonly kinds: Readonly<Record<string, "root" | "directory" | "file" | "nothing" | Stamp>>;
  /** The image, of the supervised form. */
  readonly elf: Uint8Array<ArrayBuffer>;
  /** Numbers of the signals that are meant for the program. */
  readonly signals: readonly number[];
}

/** `struct statx` and what we compare of it (statx(2)). */
const STATX = { bytes: 256, inode: 32, size: 40, changed: 96, device: 136 } as const;
const STATX_MASK = named("STATX_INO|STATX_SIZE|STATX_CTIME", 0x100 | 0x200 | 0x80);
const [F_GETFD, F_SETFD, F_DUPFD_CLOEXEC, F_ADD_SEALS] = [
  named("F_GETFD", 1),
  named("F_SETFD", 2),
  named("F_DUPFD_CLOEXEC", 1030),
  named("F_ADD_SEALS", 1033),
];
const ALL_SEALS = named("SEAL|SHRINK|GROW|WRITE", 0xf);
const MEMFD = named("MFD_CLOEXEC|MFD_ALLOW_SEALING", 1 | 2);
const MEMFD_EXEC = named("MFD_CLOEXEC|MFD_ALLOW_SEALING|MFD_EXEC", 1 | 2 | 0x10);
const P_PID = named("P_PID", 1);
const [WEXITED, WEXITED_NOWAIT] = [named("WEXITED", 4), named("WEXITED|WNOWAIT", 0x1000004)];
const POLLIN = 1n << 32n;
/** Descriptors of the launcher are copied to numbers from here on first, so that none is overwritten. */
const ROOM = 16;
/** What is open until the end, and closed if all is left to Deno. */
const OPENED = [
  "file",
  "image",
  "status:read",
  "status:write",
  "gate:read",
  "gate:write",
  "signals",
  "process",
];
const DIGITS = 10;
const ORPHANED = text(
  "runtime: Cannot supervise the sandbox: the kernel lets nobody watch it; it was ended\n",
);

/**
 * The steps of `run DIR` when the same was run before: they check that the bundle is still what the image was made from,
 * start it, and wait for its end. Who walks through them is the executable itself, before it loads anything.
 *
 * Whatever is not as expected before the program begins leaves all to Deno, which begins anew. From then on only the
 * program's own exit ends here; after a signal, or when one has ended the program, the executable is run once more, as
 * this very process, to supervise what there is: `runtime adopt`.
 */
export function planRerun(request: RerunRequest): Plan {
  return { arch: request.arch, sections: [{ by: "move", ops: [...steps(request)] }] };
}

function* steps(request: RerunRequest): Iterable<Op> {
  yield op("take the bundle's directory", "let", [slot("failed")], { into: "bundle" });
  for (const fd of OPENED) yield op("open nothing yet", "let", [-1], { into: fd });
  for (const pid of ["launcher", "init", "ready"]) yield op("start nothing yet", "let", [0], { into: pid });
  yield* holdSignals(request);
  yield* looks(request);
  yield* makeImage(request);
  yield* launch();
  yield* hear();
  yield* wait();
  yield* leave();
}

function* looks({ arch, bundle, directory, config, executable, kinds }: RerunRequest): Iterable<Op> {
  for (const fd of [0, 1, 2]) yield op("find the streams open", "fcntl", [fd, F_GETFD, 0]);
  yield* isStill("/proc/self/exe", [AT_FDCWD, "/proc/self/exe", 0], executable);
  yield* isStill("the bundle", [slot("bundle"), "", flags("AT_", { EMPTY_PATH: AT.EMPTY_PATH })], directory);
  yield* isStill(bundle, [AT_FDCWD, bundle, 0], directory);
  yield* isStill("config.json", [slot("bundle"), "config.json", 0], config);
  const how = { PATH: O.PATH, DIRECTORY: O_DIRECTORY[arch], CLOEXEC: O.CLOEXEC };
  for (const [path, kind] of Object.entries(kinds)) {
    const does = `find "${path}"`;
    if (typeof kind === "object") {
      const noFollow = flags("AT_", { SYMLINK_NOFOLLOW: AT.SYMLINK_NOFOLLOW });
      yield* isStill(`"${path}"`, [AT_FDCWD, path, noFollow], kind);
      continue;
    }
    if (kind === "file") yield op(does, "faccessat2", [AT_FDCWD, path, 0, 0]);
    const noFollow = kind === "root" || kind === "nothing" ? { NOFOLLOW: O_NOFOLLOW[arch] } : {};
    const opened = kind === "nothing" ? { PATH: O.PATH, CLOEXEC: O.CLOEXEC } : how;
    const next = `not:${path}`;
    const isOther = { ignored: next, zero: "fail", positive: "fail" };
    yield op(does, "openat", [AT_FDCWD, path, flags("O_", { ...opened, ...noFollow }), 0], {
      into: "file",
      ...(kind === "file" && { ignore: ["ENOTDIR"], ...isOther }),
      ...(kind === "nothing" && { ignore: ["ENOENT"], ...isOther }),
    });
    if (kind === "file" || kind === "nothing") {
      yield mark(next);
      continue;
    }
    yield op(does, "close", [slot("file")]);
    yield op(does, "let", [-1], { into: "file" });
  }
}

function* isStill(
  what: string,
  where: readonly [Arg, Arg, Arg],
  { inode, device, sizeBytes, changed }: Pick<Stamp, "inode" | "device"> & Partial<Stamp>,
): Iterable<Op> {
  const does = `find ${what} as it was`;
  const info = zeros(STATX.bytes, "statx");
  yield op(does, "statx", [...where, STATX_MASK, info]);
  const words: [number, bigint][] = [[STATX.inode, inode], [STATX.device, device]];
  if (sizeBytes !== undefined) words.push([STATX.size, sizeBytes]);
  changed?.forEach((word, index) => words.push([STATX.changed + 8 * index, word]));
  for (const [offset, word] of words) {
    const next = `same:${what}:${offset}`;
    yield op(does, "load", [{ inside: info, offset }, 0], { into: "word" });
    yield op(does, "let", [slot("word"), -word, 1], { zero: next, positive: "fail" });
    yield mark(next);
  }
}

/** Signals that are meant for the program wait until somebody can pass them on. */
function* holdSignals({ signals }: RerunRequest): Iterable<Op> {
  const usual = zeros(32, "{SIG_DFL}");
  for (const signal of [...signals, SIGCHLD]) {
    yield op("hear of signals that were ignored", "rt_sigaction", [signal, usual, 0, 8]);
  }
  const set = maskOf(signals);
  yield op("hold signals back", "rt_sigprocmask", [named("SIG_BLOCK", 0), set, { address: "mask" }, 8]);
  const how = named("SFD_CLOEXEC", O.CLOEXEC);
  yield op("hear of signals", "signalfd4", [-1, set, 8, how], { into: "signals" });
}

function maskOf(signals: readonly number[]): Bytes {
  const bytes = new Uint8Array(8);
  const mask = signals.reduce((sum, signal) => sum | 1n << BigInt(signal - 1), 0n);
  new DataView(bytes.buffer).setBigUint64(0, mask, true);
  return { bytes, shows: `{${signals.join(", ")}}` };
}

/** As `executable()` in ffi/memfd.ts makes it. */
function* makeImage({ elf }: RerunRequest): Iterable<Op> {
  const does = "make the image";
  // Kernels before 6.3 do not know MFD_EXEC: there every memfd is executable.
  yield op(does, "memfd_create", ["ai-sandbox", MEMFD_EXEC], {
    into: "image",
    ignore: ["EINVAL"],
    ignored: "before 6.3",
    positive: "made",
  });
  yield op(does, "memfd_create", ["ai-sandbox", MEMFD], { label: "before 6.3", into: "image" });
  yield mark("made");
  yield op(does, "write", [slot("image"), { bytes: elf, shows: "<image>" }, elf.length], { into: "written" });
  yield op(does, "let", [slot("written"), -elf.length, 1], { zero: "whole", positive: "fail" });
  yield op("seal the image", "fcntl", [slot("image"), F_ADD_SEALS, ALL_SEALS], { label: "whole" });
}

/** As `launch()` in runtime/launch/launch.ts starts it; the gate is open. */
function* launch(): Iterable<Op> {
  const ends = zeros(16, "int[2]");
  const kind = named("SOCK_SEQPACKET|SOCK_CLOEXEC", 5 | O.CLOEXEC);
  yield op("make the status socket", "socketpair", [named("AF_UNIX", 1), kind, 0, ends]);
  yield* twoDescriptors("make the status socket", ends, "status");
  yield* pipe("make the start gate", "gate");
  yield op("open the start gate", "write", [slot("gate:write"), text("\0"), 1]);
  const does = "start the launcher";
  const args = cloneArgs({ VM: CLONE.VM, VFORK: CLONE.VFORK }, SIGCHLD);
  yield op(does, "clone3", [args, CLONE_ARGS_BYTES], {
    into: "launcher",
    zero: "child",
    positive: "launched",
  });
  const rest = { failed: "child:end" };
  yield op(does, "rt_sigprocmask", [named("SIG_SETMASK", 2), { address: "mask" }, 0, 8], {
    ...rest,
    label: "child",
  });
  const copies = [["image", FIRST_FREE_FD], ["status:write", STATUS_FD], ["gate:read", GATE_FD]] as const;
  for (const [name] of copies) {
    yield op(does, "fcntl", [slot(name), F_DUPFD_CLOEXEC, ROOM], { ...rest, into: `child:${name}` });
  }
  for (const [name, number] of copies) {
    const how = number === FIRST_FREE_FD ? named("O_CLOEXEC", O.CLOEXEC) : 0;
    yield op(does, "dup3", [slot(`child:${name}`), number, how], rest);
  }
  const empty = flags("AT_", { EMPTY_PATH: AT.EMPTY_PATH });
  const argv = [{ strings: ["ai-sandbox"] }, { strings: [] }];
  yield op(does, "execveat", [FIRST_FREE_FD, "", ...argv, empty], rest);
  yield op("end", "exit_group", [127], { label: "child:end" });
  yield mark("launched");
  for (const name of ["image", "status:write", "gate:read"]) yield* close(name);
}

function* close(name: string): Iterable<Op> {
  yield op("close what the launcher has", "close", [slot(name)]);
  yield op("close what the launcher has", "let", [-1], { into: name });
}

/** Hears who init is, that it is ready, and by the end of the socket that it has become the program. */
function* hear(): Iterable<Op> {
  const does = "hear of the launch";
  const message = zeros(MESSAGE_BYTES, "message");
  yield* waitFor("status:read", { again: "hear", signal: "early", failed: "orphan" });
  yield op(does, "read", [slot("status:read"), message, MESSAGE_BYTES], { zero: "silent", failed: "orphan" });
  yield op(does, "load", [message, 0], { into: "what" });
  yield op(does, "let", [slot("what"), -MESSAGE.cloned, 1], { zero: "cloned" });
  yield op(does, "let", [slot("what"), -MESSAGE.ready, 1], { zero: "ready", positive: "fail" });
  yield op(does, "load", [{ inside: message, offset: 8 }, 0], { label: "cloned", into: "init" });
  yield jump("hear");
  yield op(does, "let", [1], { label: "ready", into: "ready" });
  yield jump("hear");
  yield op("was it ready?", "let", [slot("ready")], { label: "silent", zero: "fail" });
  yield op("know init", "let", [slot("init")], { zero: "orphan" }); // it has begun, and its launcher was killed
}

/** Where {@linkcode waitFor} can be jumped to, and where it goes on after a signal, or when it cannot wait. */
type WaitLabels = Readonly<Record<"again" | "signal" | "failed", string>>;

/** Waits for `fd`, or for a signal. */
function* waitFor(fd: string, { again, signal, failed }: WaitLabels): Iterable<Op> {
  const does = "wait, or for a signal";
  yield op(does, "let", [slot(fd), 1, POLLIN], { label: again, into: `${again}:poll` });
  yield op(does, "let", [slot("signals"), 1, POLLIN], { into: "signals:poll" });
  const polls = {
    struct: "pollfd[2]",
    members: [["fd", 8, slot(`${again}:poll`)], ["signals", 8, slot("signals:poll")]],
  } as const;
  yield op(does, "ppoll", [polls, 2, 0, 0, 8], { failed });
  const now = { struct: "timespec", members: [["sec", 8, 0], ["nsec", 8, 0]] } as const;
  const signals = { struct: "pollfd", members: [["signals", 8, slot("signals:poll")]] } as const;
  yield op("see whether there is a signal", "ppoll", [signals, 1, now, 0, 8], { positive: signal, failed });
}

function* wait(): Iterable<Op> {
  yield op("hold the program", "pidfd_open", [slot("init"), 0], { into: "process", failed: "adopt" });
  yield* waitFor("process", { again: "run", signal: "adopt", failed: "adopt" });
  const info = zeros(128, "siginfo");
  const does = "see how the program ended";
  yield op(does, "waitid", [P_PID, slot("init"), info, WEXITED_NOWAIT, 0], { failed: "adopt" });
  yield op(does, "load", [{ inside: info, offset: 24 }, 0], { into: "status" });
  yield op(does, "load", [{ inside: info, offset: 8 }, 0], { into: "end" });
  yield op("did it exit?", "let", [slot("end"), -1, 1], { zero: "exited", positive: "adopt" });
  yield mark("exited");
  yield* end("init", "exited:init");
  yield* end("launcher", "exited:launcher");
  yield op("end", "exit_group", [slot("status")]);
  yield* early();
  yield* adopt();
}

/** Kills a child, if there is one, and takes its end. */
function* end(who: "launcher" | "init", next: string): Iterable<Op> {
  yield op(`is there the ${who}?`, "let", [slot(who)], { zero: next });
  yield op(`end the ${who}`, "kill", [slot(who), SIGKILL], { failed: next });
  yield op(`take the end of the ${who}`, "waitid", [P_PID, slot(who), 0, WEXITED, 0], { failed: next });
  yield mark(next);
}

/** A signal before the program has begun ends all, as if it had come to a program that does not handle it. */
function* early(): Iterable<Op> {
  const info = zeros(128, "signalfd_siginfo");
  yield op("take the signal", "read", [slot("signals"), info, 128], { label: "early", failed: "orphan" });
  yield op("take the signal", "load", [info, 0], { into: "signal" });
  yield* end("launcher", "early:launcher");
  yield* end("init", "early:init");
  yield op("tell of the signal", "let", [slot("signal"), 128, 1], { into: "signal" });
  yield op("end", "exit_group", [slot("signal")]);
}

/** Becomes a process of Deno's that goes on: it has the same pid, and so the same children. */
function* adopt(): Iterable<Op> {
  const does = "let Deno go on";
  yield op(does, "fcntl", [slot("gate:write"), F_SETFD, 0], { label: "adopt", failed: "orphan" });
  const numbers = ["init", "launcher", "gate:write"].map((name) => ({
    name,
    digits: text(`${"0".repeat(DIGITS)}\0`),
  }));
  for (const { name, digits } of numbers) {
    yield op(does, "decimal", [slot(name), { inside: digits, offset: DIGITS }], {
      zero: `told:${name}`,
      positive: `told:${name}`,
    });
    yield mark(`told:${name}`);
  }
  const argv = { strings: ["runtime", "adopt", ...numbers.map(({ digits }) => digits)] };
  yield op(does, "execve", ["/proc/self/exe", argv, { strings: [] }], { failed: "orphan" });
  yield op("say what happened", "write", [2, ORPHANED, ORPHANED.bytes.length], {
    label: "orphan",
    failed: "orphan:end",
  });
  yield op("end the program with us", "exit_group", [1], { label: "orphan:end" });
}

/** What was started is ended, what was opened is closed, and Deno begins. */
function* leave(): Iterable<Op> {
  yield mark("fail");
  for (const who of ["launcher", "init"] as const) yield* end(who, `no ${who}`);
  for (const fd of [...OPENED, "bundle"]) {
    yield op("close what was opened", "close", [slot(fd)], { ignore: ["EBADF"], failed: "leave" });
  }
  yield op("let signals through again", "rt_sigprocmask", [
    named("SIG_SETMASK", 2),
    { address: "mask" },
    0,
    8,
  ], {
    failed: "leave",
  });
  yield op("leave it to Deno", "leave", [], { label: "leave" });
}
