/** What steps look for that go by the first process of a container: that it is the very process, and not frozen. */

import { O } from "./abi.ts";
import { AT, AT_FDCWD } from "./kernel.ts";
import { type Arg, flags, mark, named, type Op, op, slot, type Struct, zeros } from "./op.ts";

/** A process, by a number that is given away again, and one that is not in the same boot. */
export interface FirstProcess {
  readonly pid: number;
  readonly inode: bigint;
  readonly bootId: string;
}

/** `struct statx` and the inode in it (statx(2)). */
const [STATX_BYTES, STATX_INODE] = [256, 32];
const BOOT_ID = "/proc/sys/kernel/random/boot_id";
const [POLLIN, EVENTS] = [1n, 1n << 32n];
const zeroTime: Struct = { struct: "timespec", members: [["sec", 8, 0], ["nsec", 8, 0]] };

/** Holds it by the slot `process`; goes on with `stopped` if it has ended. */
export function* findFirst({ pid, inode, bootId }: FirstProcess): Iterable<Op> {
  yield* compareBoot(bootId);
  const does = "find its first process";
  yield op(does, "pidfd_open", [pid, 0], {
    into: "process",
    ignore: ["ESRCH", "EINVAL"],
    ignored: "stopped",
  });
  const info = zeros(STATX_BYTES, "statx");
  const what = named("STATX_INO", 0x100);
  yield op(does, "statx", [slot("process"), "", flags("AT_", { EMPTY_PATH: AT.EMPTY_PATH }), what, info]);
  yield op(does, "load", [{ inside: info, offset: STATX_INODE }, 0], { into: "inode" });
  yield op("is it the very process?", "let", [slot("inode"), -inode, 1], {
    zero: "same",
    positive: "stopped",
  });
  yield mark("same");
  yield* findAlive();
}

/** Looks whether the process of the slot `process` has ended: goes on with `stopped`. */
export function* findAlive(): Iterable<Op> {
  yield op("has it ended?", "let", [POLLIN * EVENTS, slot("process"), 1], { into: "poll" });
  yield op("has it ended?", "ppoll", [{ address: "poll" }, 1, zeroTime, 0, 8], {
    positive: "stopped",
  });
}

/** A process of another boot is none: goes on with `stopped`. */
export function* compareBoot(bootId: string): Iterable<Op> {
  const does = "compare the boot";
  const expected = new TextEncoder().encode(bootId);
  const found = zeros(expected.length + 8, "boot id");
  yield* readFile(BOOT_ID, found, expected.length);
  for (let offset = 0; offset < expected.length; offset += 8) {
    const at = Math.min(offset, expected.length - 8);
    const word = new DataView(expected.buffer).getBigUint64(at, true);
    const next = `boot:${offset + 8}`;
    yield op(does, "load", [{ inside: found, offset: at }, 0], { into: "word" });
    yield op(does, "let", [slot("word"), -word, 1], { zero: next, positive: "stopped" });
    yield mark(next);
  }
}

/** Looks into the files that say whether a container is frozen, by a 1: goes on with `paused`. */
export function* findThawed(files: readonly string[]): Iterable<Op> {
  for (const file of files) {
    const does = "is it frozen?";
    const found = zeros(8, "0 or 1");
    yield* readFile(file, found, 8);
    yield op(does, "load", [found, 0], { into: "word" });
    yield op(does, "let", [slot("word"), -0x0a31, 1], { zero: "paused" }); // "1\n"
    yield op(does, "let", [slot("word"), -0x0a30, 1], { zero: `thawed:${file}`, positive: "fail" });
    yield mark(`thawed:${file}`);
  }
}

/** The begin of a file, which must be there; how much of it that was is in `count`. */
export function* readFile(path: string, into: Arg, bytes: number): Iterable<Op> {
  const does = `read "${path}"`;
  yield op(does, "openat", [AT_FDCWD, path, flags("O_", { CLOEXEC: O.CLOEXEC }), 0], { into: "file" });
  yield op(does, "read", [slot("file"), into, bytes], { into: "count" });
  yield op(does, "close", [slot("file")]);
}
