/** Looks at files by descriptor: what a path says is never believed twice. */

import { check, errno, SyscallError } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";
import { addressOf, cstring } from "./memory.ts";

const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const AT_NO_AUTOMOUNT = 0x800;
const AT_STATX_DONT_SYNC = 0x4000;
const AT_SYMLINK_NOFOLLOW = 0x100;
const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
const RESOLVE_NO_MAGICLINKS = 2n;
const RESOLVE_IN_ROOT = 0x10n;
const RESOLVE_CACHED = 0x20n;
const SYS_openat2 = 437n;
const STATX_BASIC_STATS = 0x7ff;
const STATX_MNT_ID = 0x1000;
const STATX_ATTR_MOUNT_ROOT = 0x2000;
const STATX_BYTES = 256;
const [ENOENT, EAGAIN] = [2, 11];
/** openat2(2) asks to be tried again when something is renamed meanwhile. */
const TRIES = 128;
const decoder = new TextDecoder();

/** What lies at a path, and on which mount. */
export interface Place {
  /** `S_IFMT` and permissions, as in st_mode. */
  readonly mode: number;
  readonly inode: bigint;
  /** Major and minor number of its file system: `254:0`. */
  readonly device: string;
  /** Major and minor number of the device that it is: `1:3`. */
  readonly node: string;
  /** Id of the mount that it is on, as in /proc/self/mountinfo. */
  readonly mount: number;
  /** Whether it is that mount's root. */
  readonly isMountRoot: boolean;
}

/** A directory or file by its descriptor, for nothing but to look at it (O_PATH). */
export function openPath(path: string): Fd {
  return new Fd(check(libc.open(cstring(path), O_PATH | O_CLOEXEC, 0), "look at", path));
}

/**
 * Opens `path` as if the directory of `root` were `/`: no link in it leads outside, none of /proc is followed.
 *
 * @param more Further `RESOLVE_` flags of openat2(2).
 * @returns `undefined` if there is no such path.
 */
export function openInside(root: Fd, path: string, more = 0n): Fd | undefined {
  const name = cstring(path);
  const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | more;
  const how = new BigUint64Array([BigInt(O_PATH | O_CLOEXEC), 0n, resolve]);
  for (let tries = 1;; tries++) {
    const raw = libc.syscall(
      SYS_openat2,
      BigInt(root.raw),
      addressOf(name),
      addressOf(how),
      BigInt(how.byteLength),
    );
    if (raw >= 0n) return new Fd(Number(raw));
    const failed = errno();
    if (failed === ENOENT) return undefined;
    if (failed !== EAGAIN || tries === TRIES) throw new SyscallError("look at", failed, path);
  }
}

/**
 * How a file or directory is now: whoever changes it changes its inode or when that was changed.
 *
 * @param follow Whether to go through a link at its end.
 */
export function stampAt(path: string, follow: boolean = true): {
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  readonly changed: readonly [seconds: bigint, nanoseconds: bigint];
  readonly device: bigint;
} {
  return stampOf(statx(AT_FDCWD, path, AT_NO_AUTOMOUNT | (follow ? 0 : AT_SYMLINK_NOFOLLOW)));
}

/**
 * The same of a file as if the directory at `root` were `/`, by what the kernel remembers of it: no file system is asked,
 * which could be one in user space that never answers.
 *
 * @returns `undefined` if there is no such file.
 * @throws {SyscallError} if the kernel does not remember.
 */
export function stampInside(root: string, path: string): ReturnType<typeof stampAt> | undefined {
  using directory = openPath(root);
  using file = openInside(directory, path, RESOLVE_CACHED);
  return file && stampOf(statx(file.raw, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC));
}

function stampOf(view: DataView): ReturnType<typeof stampAt> {
  const word = (offset: number): bigint => view.getBigUint64(offset, true);
  return { inode: word(32), sizeBytes: word(40), changed: [word(96), word(104)], device: word(136) };
}

/** What a descriptor names. */
export function placeOf(fd: Fd): Place {
  return stat(fd.raw, "", AT_EMPTY_PATH);
}

/** What lies at a path of the host, through links. */
export function placeAt(path: string): Place {
  return stat(AT_FDCWD, path, AT_NO_AUTOMOUNT);
}

/** `struct statx` (statx(2)). */
function statx(directory: number, path: string, flags: number): DataView {
  const bytes = new Uint8Array(STATX_BYTES);
  const mask = STATX_BASIC_STATS | STATX_MNT_ID;
  check(libc.statx(directory, cstring(path), flags, mask, bytes), "look at", path);
  return new DataView(bytes.buffer);
}

function stat(directory: number, path: string, flags: number): Place {
  const view = statx(directory, path, flags);
  const pair = (offset: number): string =>
    `${view.getUint32(offset, true)}:${view.getUint32(offset + 4, true)}`;
  return {
    mode: view.getUint16(28, true),
    inode: view.getBigUint64(32, true),
    device: pair(136),
    node: pair(128),
    mount: Number(view.getBigUint64(144, true)),
    isMountRoot: (view.getUint32(8, true) & STATX_ATTR_MOUNT_ROOT) !== 0,
  };
}

/** Where the link `name` in a directory leads, as text; what is longer than `bytes` is cut off. */
export function readLinkAt(directory: Fd, name: string, bytes: Uint8Array<ArrayBuffer>): string {
  const length = check(
    libc.readlinkat(directory.raw, cstring(name), bytes, BigInt(bytes.length)),
    "read link",
    name,
  );
  return decoder.decode(bytes.subarray(0, length));
}

/**
 * The text of the file `name` in a directory, read in pieces of `buffer`'s size.
 *
 * @param mostBytes What it may have at most.
 * @throws {RangeError} if it has more.
 */
export function readTextAt(
  directory: Fd,
  name: string,
  { buffer, mostBytes }: { readonly buffer: Uint8Array<ArrayBuffer>; readonly mostBytes: number },
): string {
  using file = new Fd(check(libc.openat(directory.raw, cstring(name), O_CLOEXEC, 0), "read", name));
  const pieces = new TextDecoder();
  let text = "";
  for (let total = 0;;) {
    const count = check(libc.read(file.raw, buffer, BigInt(buffer.length)), "read", name);
    if (count === 0) return text + pieces.decode();
    total += count;
    if (total > mostBytes) throw new RangeError(`Cannot read "${name}": it has more than ${mostBytes} bytes`);
    text += pieces.decode(buffer.subarray(0, count), { stream: true });
  }
}
