/** Works with the files of one directory by its descriptor: no link that somebody puts there leads elsewhere. */

import { check, unless } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";
import { cstring } from "./memory.ts";
import { pollOne } from "./poll.ts";
import { writeAll } from "./socket.ts";

const [O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_NONBLOCK, O_CLOEXEC] = [
  0,
  1,
  2,
  0o100,
  0o200,
  0o4000,
  0o2000000,
];
const [O_DIRECTORY, O_NOFOLLOW] = Deno.build.arch === "x86_64" ? [0o200000, 0o400000] : [0o40000, 0o100000];
const [LOCK_EX, LOCK_NB] = [2, 4];
/** What most files fit into. */
const USUAL_BYTES = 8192;
const [ENOENT, EAGAIN, ENXIO] = [2, 11, 6];

/**
 * A directory, not a link to one.
 *
 * @returns `undefined` if there is nothing at the path.
 */
export function openDirectory(path: string): Fd | undefined {
  const open = (): number => libc.open(cstring(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
  const raw = unless([ENOENT], open, "open the directory", path);
  return raw === undefined ? undefined : new Fd(raw);
}

/** Takes the lock of a directory (flock(2)), which goes with the descriptor; false if somebody else has it. */
export function tryLock(directory: Fd): boolean {
  const lock = (): number => libc.flock(directory.raw, LOCK_EX | LOCK_NB);
  return unless([EAGAIN], lock, "lock a directory") !== undefined;
}

/**
 * The text of a file in a directory; a fifo or a device keeps nobody waiting, and gives no text.
 *
 * @param mostBytes What it may have at most.
 * @returns `undefined` if there is no such file.
 * @throws {RangeError} if it has more.
 */
export function readFileAt(directory: Fd, name: string, mostBytes: number): string | undefined {
  const how = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  const raw = unless([ENOENT], () => libc.openat(directory.raw, cstring(name), how, 0), "read", name);
  if (raw === undefined) return undefined;
  using file = new Fd(raw);
  let buffer = new Uint8Array(Math.min(USUAL_BYTES, mostBytes + 1));
  let length = 0;
  for (let count = 1; count > 0 && length <= mostBytes; length += count) {
    if (length === buffer.length) {
      const larger = new Uint8Array(Math.min(2 * length, mostBytes + 1));
      larger.set(buffer);
      buffer = larger;
    }
    const rest = buffer.subarray(length);
    count = check(libc.read(file.raw, rest, BigInt(rest.length)), "read", name);
  }
  if (length > mostBytes) throw new RangeError(`it has more than ${mostBytes} bytes`);
  return new TextDecoder("utf-8", { fatal: true }).decode(buffer.subarray(0, length));
}

/** Writes a file whole or not at all, and returns when it would outlast a power cut (rename(2), fsync(2)). */
export function writeFileAt(directory: Fd, name: string, text: string): void {
  put(directory, name, new TextEncoder().encode(text), true);
  check(libc.fsync(directory.raw), "write the directory of", name);
}

/** Writes a file whole or not at all, without waiting for the disk. */
export function putFileAt(directory: Fd, name: string, bytes: Uint8Array<ArrayBuffer>): void {
  put(directory, name, bytes, false);
}

function put(directory: Fd, name: string, bytes: Uint8Array<ArrayBuffer>, wait: boolean): void {
  const temporary = `${name}.new`;
  removeAt(directory, temporary); // of a writer that died
  const how = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  using file = new Fd(check(libc.openat(directory.raw, cstring(temporary), how, 0o600), "create", temporary));
  writeAll(file, bytes, temporary);
  if (wait) check(libc.fsync(file.raw), "write", temporary);
  check(libc.renameat(directory.raw, cstring(temporary), directory.raw, cstring(name)), "rename", temporary);
}

/** Removes a file or a link; harmless if there is none. */
export function removeAt(directory: Fd, name: string): void {
  unless([ENOENT], () => libc.unlinkat(directory.raw, cstring(name), 0), "remove", name);
}

/** Makes a fifo anew and opens it for reading and writing, so that a read of it never ends (fifo(7)). */
export function makeFifoAt(directory: Fd, name: string): Fd {
  removeAt(directory, name);
  check(libc.mkfifoat(directory.raw, cstring(name), 0o600), "make the fifo", name);
  const how = O_RDWR | O_NOFOLLOW | O_CLOEXEC;
  return new Fd(check(libc.openat(directory.raw, cstring(name), how, 0), "open the fifo", name));
}

/** Opens a fifo to write to it; `undefined` if there is none, or nobody has it open to read. */
export function openFifoAt(directory: Fd, name: string): Fd | undefined {
  const how = O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC;
  const open = (): number => libc.openat(directory.raw, cstring(name), how, 0);
  const raw = unless([ENOENT, ENXIO], open, "open the fifo", name);
  return raw === undefined ? undefined : new Fd(raw);
}

const POLLERR = 8;

/** Waits until nobody has a fifo open to read any more; false if that takes longer than `timeoutMs`. */
export function awaitNoReader(fifo: Fd, timeoutMs: number): boolean {
  const poll = new Int32Array([fifo.raw, 0]); // struct pollfd: POLLERR is told without asking
  return pollOne(poll, timeoutMs, "wait for the readers of a fifo") && ((poll[1]! >>> 16) & POLLERR) !== 0;
}

/** What somebody has written into a fifo that is open somewhere, without waiting; empty if there is nothing. */
export function readFifoAt(directory: Fd, name: string, mostBytes: number): Uint8Array<ArrayBuffer> {
  const how = O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC;
  const open = (): number => libc.openat(directory.raw, cstring(name), how, 0);
  const raw = unless([ENOENT], open, "open the fifo", name);
  if (raw === undefined) return new Uint8Array();
  using fifo = new Fd(raw);
  const bytes = new Uint8Array(mostBytes);
  const read = (): bigint => libc.read(fifo.raw, bytes, BigInt(mostBytes));
  return bytes.subarray(0, unless([EAGAIN], read, "read the fifo", name) ?? 0);
}
