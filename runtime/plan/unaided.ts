/** What the executable does by itself, before it loads anything: steps that several commands have in common. */

import { O } from "./abi.ts";
import { AT, AT_FDCWD, CLONE, SIGKILL } from "./kernel.ts";
import {
  type Arg,
  type Bytes,
  flags,
  mark,
  named,
  type Op,
  op,
  slot,
  type Struct,
  text,
  zeros,
} from "./op.ts";
import { FIRST_FREE_FD, GATE_FD, STATUS_FD } from "./protocol.ts";
import { CLONE_ARGS_BYTES, cloneArgs, pipe, SIGCHLD, twoDescriptors } from "./userns.ts";

/** A file as it was: whoever changes it changes one of these. */
export interface Stamp {
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  /** Of the last change to its content or inode: seconds and nanoseconds. */
  readonly changed: readonly [seconds: bigint, nanoseconds: bigint];
  /** Major and minor number of its file system, in one word as in struct statx. */
  readonly device: bigint;
}

/** `struct statx` and what we compare of it (statx(2)). */
const STATX = { bytes: 256, inode: 32, size: 40, changed: 96, device: 136 } as const;
const STATX_MASK = named("STATX_INO|STATX_SIZE|STATX_CTIME", 0x100 | 0x200 | 0x80);
const [F_GETFD, F_DUPFD_CLOEXEC, F_ADD_SEALS] = [
  named("F_GETFD", 1),
  named("F_DUPFD_CLOEXEC", 1030),
  named("F_ADD_SEALS", 1033),
];
const ALL_SEALS = named("SEAL|SHRINK|GROW|WRITE", 0xf);
const MEMFD = named("MFD_CLOEXEC|MFD_ALLOW_SEALING", 1 | 2);
const MEMFD_EXEC = named("MFD_CLOEXEC|MFD_ALLOW_SEALING|MFD_EXEC", 1 | 2 | 0x10);
const POLLIN = 1n << 32n;
/** Descriptors of the launcher are copied to numbers from here on first, so that none is overwritten. */
const ROOM = 16;
/** `waitid` for one process, and for its end, which may be left to be taken (waitid(2)). */
export const P_PID = named("P_PID", 1);
export const WEXITED = named("WEXITED", 4);
export const WEXITED_NOWAIT = named("WEXITED|WNOWAIT", 0x1000004);
/** How `waitid` says that a process has exited, in `siginfo_t` (sigaction(2)), and where that and its status are there. */
export const CLD_EXITED = 1;
const SIGINFO = { bytes: 128, code: 8, status: 24 } as const;
/** What is open while something is started: the slots that the steps here fill. */
export const LAUNCH_FDS = [
  "image",
  "status:read",
  "status:write",
  "gate:read",
  "gate:write",
  "signals",
] as const;

/**
 * Looks whether stdin, stdout and stderr are open: where they are not, Deno opens /dev/null. What the executable has opened
 * itself, in slot `own`, has such a number only then.
 */
function* findStreams(own: string): Iterable<Op> {
  for (const fd of [0, 1, 2]) {
    const next = `open:${fd}`;
    yield op("find the streams open", "let", [slot(own), -1, fd], { zero: "fail", positive: next });
    yield op("find the streams open", "fcntl", [fd, F_GETFD, 0], { label: next });
  }
}

/**
 * Looks whether a file is what it was.
 *
 * @param what Its name, which no other look has.
 * @param where Directory, path and flags of statx(2).
 */
export function* isStill(
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

/** Looks whether a file has this size, before it is opened: what has none may be a fifo. */
export function* hasSize(does: string, path: Arg, sizeBytes: number): Iterable<Op> {
  const info = zeros(STATX.bytes, "statx");
  yield op(does, "statx", [AT_FDCWD, path, 0, STATX_MASK, info]);
  yield op(does, "load", [{ inside: info, offset: STATX.size }, 0], { into: "word" });
  yield op(does, "let", [slot("word"), -sizeBytes, 1], { zero: `${does}:size`, positive: "fail" });
  yield mark(`${does}:size`);
}

/**
 * Signals that are meant for the program wait until somebody can pass them on. Looks before for the streams, whose numbers
 * none of ours may have.
 *
 * @param own The slot of what the executable has open.
 */
export function* holdSignals(signals: readonly number[], own: string): Iterable<Op> {
  const usual = zeros(32, "{SIG_DFL}");
  // A caller may have it ignored. Whatever else he ignores stays so for the program; held back it is heard all the same.
  yield op("take the ends of children", "rt_sigaction", [SIGCHLD, usual, 0, 8]);
  const set = maskOf(signals);
  yield op("hold signals back", "rt_sigprocmask", [named("SIG_BLOCK", 0), set, { address: "mask" }, 8]);
  yield* findStreams(own);
  const how = named("SFD_CLOEXEC", O.CLOEXEC);
  yield op("hear of signals", "signalfd4", [-1, set, 8, how], { into: "signals" });
}

function maskOf(signals: readonly number[]): Bytes {
  const bytes = new Uint8Array(8);
  const mask = signals.reduce((sum, signal) => sum | 1n << BigInt(signal - 1), 0n);
  new DataView(bytes.buffer).setBigUint64(0, mask, true);
  return { bytes, shows: `{${signals.join(", ")}}` };
}

/** As `executable()` in ffi/memfd.ts makes it; `fill` writes what is not in `elf`. */
export function* makeImage(elf: Uint8Array, fill: Iterable<Op> = []): Iterable<Op> {
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
  yield mark("whole");
  yield* fill;
  yield op("seal the image", "fcntl", [slot("image"), F_ADD_SEALS, ALL_SEALS]);
}

/** What can be closed and ended from now on, whether it is there or not: slots of descriptors, and of pids and marks. */
export function* beginWithNothing(fds: readonly string[], others: readonly string[]): Iterable<Op> {
  for (const fd of fds) yield op("open nothing yet", "let", [-1], { into: fd });
  for (const other of others) yield op("start nothing yet", "let", [0], { into: other });
}

/** Makes the status socket and the start gate, as `launch()` in runtime/launch/launch.ts does. */
export function* connectLauncher(): Iterable<Op> {
  yield* makeStatus();
  yield* pipe("make the start gate", "gate");
}

/** Makes the status socket alone. */
export function* makeStatus(): Iterable<Op> {
  const ends = zeros(16, "int[2]");
  const kind = named("SOCK_SEQPACKET|SOCK_CLOEXEC", 5 | O.CLOEXEC);
  yield op("make the status socket", "socketpair", [named("AF_UNIX", 1), kind, 0, ends]);
  yield* twoDescriptors("make the status socket", ends, "status");
}

/**
 * Starts it, to the slot `launcher`.
 *
 * @param beside The slots of what it gets behind the usual.
 */
export function* startLauncher(beside: readonly string[] = []): Iterable<Op> {
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
  const image = FIRST_FREE_FD + beside.length;
  const copies = [
    ["image", image],
    ["status:write", STATUS_FD],
    ["gate:read", GATE_FD],
    ...beside.map((name, index) => [name, FIRST_FREE_FD + index] as const),
  ] as const;
  for (const [name] of copies) {
    yield op(does, "fcntl", [slot(name), F_DUPFD_CLOEXEC, ROOM], { ...rest, into: `child:${name}` });
  }
  for (const [name, number] of copies) {
    const how = number === image ? named("O_CLOEXEC", O.CLOEXEC) : 0;
    yield op(does, "dup3", [slot(`child:${name}`), number, how], rest);
  }
  const empty = flags("AT_", { EMPTY_PATH: AT.EMPTY_PATH });
  const argv = [{ strings: ["ai-sandbox"] }, { strings: [] }];
  yield op(does, "execveat", [image, "", ...argv, empty], rest);
  yield op("end", "exit_group", [127], { label: "child:end" });
  yield mark("launched");
  for (const name of ["image", "status:write", "gate:read"]) yield* close(name);
}

function* close(name: string): Iterable<Op> {
  yield op("close what the launcher has", "close", [slot(name)]);
  yield op("close what the launcher has", "let", [-1], { into: name });
}

const IGNORED: Struct = {
  struct: "sigaction",
  members: [["handler", 8, named("SIG_IGN", 1)], ["flags", 8, 0], ["restorer", 8, 0], ["mask", 8, 0]],
};

/** Whoever does not read what is written to him ends nothing. */
export function outlive(who: string): Op {
  return op(`outlive ${who}`, "rt_sigaction", [named("SIGPIPE", 13), IGNORED, 0, 8]);
}

/** Lets go on who waits at the start gate, and may be gone. */
export function* openGate(): Iterable<Op> {
  yield outlive("who waits at the gate");
  yield op("open the start gate", "write", [slot("gate:write"), text("\0"), 1]);
}

/** Where {@linkcode waitFor} can be jumped to, and where it goes on after a signal, or when it cannot wait. */
type WaitLabels = Readonly<Record<"again" | "signal" | "failed", string>>;

/** How long something is waited for, and where to go on when that is over. */
export interface Limit {
  readonly ms: number;
  readonly late: string;
}

/** Waits for `fd`, or for a signal. */
export function* waitFor(
  fd: string,
  { again, signal, failed }: WaitLabels,
  limit?: Limit,
): Iterable<Op> {
  const does = "wait, or for a signal";
  yield op(does, "let", [slot(fd), 1, POLLIN], { label: again, into: `${again}:poll` });
  yield op(does, "let", [slot("signals"), 1, POLLIN], { into: "signals:poll" });
  const polls = {
    struct: "pollfd[2]",
    members: [["fd", 8, slot(`${again}:poll`)], ["signals", 8, slot("signals:poll")]],
  } as const;
  const time = limit ? timeOf(limit.ms) : 0;
  yield op(does, "ppoll", [polls, 2, time, 0, 8], { failed, ...(limit && { zero: limit.late }) });
  const now = { struct: "timespec", members: [["sec", 8, 0], ["nsec", 8, 0]] } as const;
  const signals = { struct: "pollfd", members: [["signals", 8, slot("signals:poll")]] } as const;
  yield op("see whether there is a signal", "ppoll", [signals, 1, now, 0, 8], { positive: signal, failed });
}

/**
 * Waits for the child of slot `who`: slot `status` gets its exit code or signal, `end` which of the two that is, as
 * {@linkcode CLD_EXITED} says.
 *
 * @param how {@linkcode WEXITED}, or {@linkcode WEXITED_NOWAIT}.
 */
export function* readEnd(
  who: string,
  how: Arg,
  labels: { readonly label?: string; readonly failed: string },
): Iterable<Op> {
  const does = "see how the program ended";
  const info = zeros(SIGINFO.bytes, "siginfo");
  yield op(does, "waitid", [P_PID, slot(who), info, how, 0], labels);
  yield op(does, "load", [{ inside: info, offset: SIGINFO.status }, 0], { into: "status" });
  yield op(does, "load", [{ inside: info, offset: SIGINFO.code }, 0], { into: "end" });
}

/** `struct timespec` of this time. */
export function timeOf(ms: number): Struct {
  const members = [["sec", 8, Math.floor(ms / 1000)], ["nsec", 8, ms % 1000 * 1e6]] as const;
  return { struct: "timespec", members };
}

/** Kills the child of slot `who`, if there is one, and takes its end. */
export function* end(who: string, next: string): Iterable<Op> {
  yield op(`is there the ${who}?`, "let", [slot(who)], { zero: next });
  yield op(`end the ${who}`, "kill", [slot(who), SIGKILL], { failed: next });
  yield op(`take the end of the ${who}`, "waitid", [P_PID, slot(who), 0, WEXITED, 0], { failed: next });
  yield mark(next);
}

/** What was started is ended, what was done is undone, what was opened is closed, and Deno begins. */
export function* leave(
  started: readonly string[],
  opened: readonly string[],
  undo: Iterable<Op> = [],
): Iterable<Op> {
  yield mark("fail");
  for (const who of started) yield* end(who, `no ${who}`);
  yield* undo;
  for (const fd of opened) {
    yield op("close what was opened", "close", [slot(fd)], { ignore: ["EBADF"], failed: "leave" });
  }
  const mask = { address: "mask" };
  yield op("let signals through again", "rt_sigprocmask", [named("SIG_SETMASK", 2), mask, 0, 8], {
    failed: "leave",
  });
  yield op("leave it to Deno", "leave", [], { label: "leave" });
}
