/** Reads files that somebody hostile may have made: no link leads outside, and whoever lets us wait keeps a thread of the pool only. */

import { Fd } from "./fd.ts";
import { openLibrary } from "./library.ts";
import { cstring } from "./memory.ts";

/** A file system in user space may never answer. Results carry no errno here: on another thread it is not ours to read. */
const patient = openLibrary("libc.so.6", {
  read: { parameters: ["i32", "buffer", "usize"], result: "isize", nonblocking: true },
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32", nonblocking: true },
  // (SYS_openat2, int dirfd, const char *path, struct open_how *, size_t)
  syscall: { parameters: ["i64", "i64", "buffer", "buffer", "i64"], result: "i64", nonblocking: true },
});

const SYS_openat2 = 437n;
const [O_PATH, O_CLOEXEC, O_NONBLOCK, O_NOCTTY] = [0o10000000, 0o2000000, 0o4000, 0o400];
const [RESOLVE_NO_MAGICLINKS, RESOLVE_IN_ROOT] = [2n, 0x10n];
const AT_FDCWD = -100n;
const AT_EMPTY_PATH = 0x1000;
const STATX_TYPE = 1;
const [S_IFMT, S_IFREG] = [0o170000, 0o100000];

/**
 * The bytes of the regular file at `path` as if the directory of `root` were `/`, at most `mostBytes` of them.
 *
 * @returns `undefined` if there is none, or it cannot be read.
 */
export async function readForeign(
  root: Fd,
  path: string,
  mostBytes: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  // First only its name: opening a device can do things, and opening a fifo waits.
  using found = await openat2(BigInt(root.raw), path, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  if (!found) return undefined;
  const stat = new Uint8Array(256);
  if (await patient.statx(found.raw, cstring(""), AT_EMPTY_PATH, STATX_TYPE, stat) !== 0) return undefined;
  if ((new DataView(stat.buffer).getUint16(28, true) & S_IFMT) !== S_IFREG) return undefined;
  using file = await openat2(AT_FDCWD, `/proc/self/fd/${found.raw}`, O_NONBLOCK | O_NOCTTY, 0n);
  if (!file) return undefined;
  const bytes = new Uint8Array(mostBytes);
  let length = 0;
  for (let count = 1; count > 0 && length < mostBytes; length += count) {
    const rest = bytes.subarray(length);
    count = Number(await patient.read(file.raw, rest, BigInt(rest.length)));
    if (count < 0) return undefined;
  }
  return bytes.subarray(0, length);
}

async function openat2(from: bigint, path: string, flags: number, resolve: bigint): Promise<Fd | undefined> {
  const how = new BigUint64Array([BigInt(flags | O_CLOEXEC), 0n, resolve]);
  const raw = Number(await patient.syscall(SYS_openat2, from, cstring(path), how, BigInt(how.byteLength)));
  return raw < 0 ? undefined : new Fd(raw);
}
