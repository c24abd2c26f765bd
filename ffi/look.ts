/** Looks at files by descriptor: what a path says is never believed twice. */

import { attempt, check, SyscallError, unless } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";
import { addressOf, cstring } from "./memory.ts";

const AT_FDCWD = -100;
const F_OK = 0;
const AT_EMPTY_PATH = 0x1000;
const AT_NO_AUTOMOUNT = 0x800;
const AT_STATX_DONT_SYNC = 0x4000;
const AT_SYMLINK_NOFOLLOW = 0x100;
const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
const O_DIRECTORY = { x86_64: 0o200000, aarch64: 0o40000 } as const;
const RESOLVE_NO_MAGICLINKS = 2n;
const RESOLVE_IN_ROOT = 0x10n;
const RESOLVE_CACHED = 0x20n;
const SYS_openat2 = 437n;
/** `STATX_BASIC_STATS | STATX_MNT_ID` */
const STATX_PLACE = 0x17ff;
const STATX_ATTR_MOUNT_ROOT = 0x2000;
const STATX_BYTES = 256;
const [ENOENT, EAGAIN] = [2, 11];
/** openat2(2) asks to be tried again when something is renamed meanwhile. */
const TRIES = 128;
const decoder = new TextDecoder();
/** Names and paths as calls take them: the same are looked at for each sandbox, and to encode takes longer than to look. */
const names = new Map<string, Name>();
const MOST_NAMES = 1000;

interface Name {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Of `bytes`, which stay where they are as long as somebody has them: an ArrayBuffer's do. */
  readonly address: bigint;
}

/** What statx(2) writes to, and what is read at once. */
const STATX = new Uint8Array(STATX_BYTES);
const STATX_VIEW = new DataView(STATX.buffer);
/** `struct open_how` (openat2(2)): flags, mode, resolve. */
const HOW_BYTES = 24;
const HOW = new BigUint64Array(new ArrayBuffer(HOW_BYTES));
let howAddress: bigint | undefined;

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

function nameOf(text: string): Name {
  let name = names.get(text);
  if (name === undefined) {
    const encoded = cstring(text);
    const bytes = new Uint8Array(new ArrayBuffer(encoded.length));
    bytes.set(encoded);
    name = { bytes, address: addressOf(bytes) };
    if (names.size >= MOST_NAMES) names.clear();
    names.set(text, name);
  }
  return name;
}

/** Whether anything lies at a path; a link is something. Without an error, which takes a tenth of a millisecond to make. */
export function isThere(path: string): boolean {
  return libc.faccessat(AT_FDCWD, cstring(path), F_OK, AT_SYMLINK_NOFOLLOW) === 0;
}

/** Whether nothing lies at a path, for sure: without an error, too. */
export function isMissing(path: string): boolean {
  return attempt(() => libc.faccessat(AT_FDCWD, cstring(path), F_OK, AT_SYMLINK_NOFOLLOW)) === -ENOENT;
}

/** A directory or file by its descriptor, for nothing but to look at it (O_PATH). */
export function openPath(path: string): Fd {
  return new Fd(check(libc.open(cstring(path), O_PATH | O_CLOEXEC, 0), "look at", path));
}

/** The same for what `name` in a directory leads to. */
export function openPathAt(directory: Fd, name: string): Fd {
  return new Fd(
    check(libc.openat(directory.raw, nameOf(name).bytes, O_PATH | O_CLOEXEC, 0), "look at", name),
  );
}

/**
 * Opens `path` as if the directory of `root` were `/`: no link in it leads outside, none of /proc is followed.
 *
 * @param more Further `RESOLVE_` flags of openat2(2).
 * @returns `undefined` if there is no such path.
 */
export function openInside(root: Fd, path: string, more = 0n): Fd | undefined {
  const { address } = nameOf(path);
  HOW[0] = BigInt(O_PATH | O_CLOEXEC);
  HOW[2] = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | more;
  howAddress ??= addressOf(HOW);
  const open = (): bigint =>
    libc.syscall(SYS_openat2, BigInt(root.raw), address, howAddress!, BigInt(HOW_BYTES));
  for (let tries = 1;; tries++) {
    const raw = attempt(open, EAGAIN);
    if (raw >= 0) return new Fd(raw);
    if (raw === -ENOENT) return undefined;
    if (raw !== -EAGAIN || tries === TRIES) throw new SyscallError("look at", -raw, path);
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
  const flags = AT_NO_AUTOMOUNT | (follow ? 0 : AT_SYMLINK_NOFOLLOW);
  return stampOf(statx(AT_FDCWD, path, flags, cstring(path)));
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

/** How what lies at a path itself looks: `undefined` if that cannot be known, for which no error is made. */
export function glanceAt(path: string): {
  readonly mode: number;
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  /** Of the last change to its content or inode, which nobody can set. */
  readonly changed: readonly [seconds: bigint, nanoseconds: number];
} | undefined {
  const flags = AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW;
  if (libc.statx(AT_FDCWD, cstring(path), flags, STATX_PLACE, STATX) !== 0) return undefined;
  const view = STATX_VIEW;
  return {
    mode: view.getUint16(28, true),
    inode: view.getBigUint64(32, true),
    sizeBytes: view.getBigUint64(40, true),
    changed: [view.getBigInt64(96, true), view.getUint32(104, true)],
  };
}

/** What a descriptor names. */
export function placeOf(fd: Fd): Place {
  return stat(fd.raw, "", AT_EMPTY_PATH);
}

/**
 * What lies in a directory under `name`, which is a single name; of a link itself.
 *
 * @returns `undefined` if there is nothing.
 */
export function placeIn(directory: Fd, name: string): Place | undefined {
  const flags = AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW;
  const look = (): number => libc.statx(directory.raw, nameOf(name).bytes, flags, STATX_PLACE, STATX);
  return unless([ENOENT], look, "look at", name) === undefined ? undefined : placeFrom(STATX_VIEW);
}

/** What lies at a path of the host, through links; from `directory` if it is given and the path is relative. */
export function placeAt(path: string, directory?: Fd): Place {
  return stat(directory?.raw ?? AT_FDCWD, path, AT_NO_AUTOMOUNT);
}

/** `struct statx` (statx(2)), until the next call. */
function statx(directory: number, path: string, flags: number, bytes = nameOf(path).bytes): DataView {
  check(() => libc.statx(directory, bytes, flags, STATX_PLACE, STATX), "look at", path);
  return STATX_VIEW;
}

function stat(directory: number, path: string, flags: number): Place {
  return placeFrom(statx(directory, path, flags));
}

function placeFrom(view: DataView): Place {
  return {
    mode: view.getUint16(28, true),
    inode: view.getBigUint64(32, true),
    device: pair(view.getUint32(136, true), view.getUint32(140, true)),
    node: pair(view.getUint32(128, true), view.getUint32(132, true)),
    mount: Number(view.getBigUint64(144, true)),
    isMountRoot: (view.getUint32(8, true) & STATX_ATTR_MOUNT_ROOT) !== 0,
  };
}

function pair(major: number, minor: number): string {
  return major === 0 && minor === 0 ? "0:0" : `${major}:${minor}`;
}

/** Where the link `name` in a directory leads, as text; what is longer than `bytes` is cut off. */
export function readLinkAt(directory: Fd, name: string, bytes: Uint8Array<ArrayBuffer>): string {
  const length = check(
    libc.readlinkat(directory.raw, nameOf(name).bytes, bytes, BigInt(bytes.length)),
    "read link",
    name,
  );
  return decoder.decode(bytes.subarray(0, length));
}

/**
 * The text of the file `name` in a directory: one of procfs is made anew by each open, and is a whole only if it is read
 * through one.
 *
 * @param buffer Where it is read to; what does not fit finds a larger one.
 * @param mostBytes What it may have at most.
 * @param whole Whether one read brings all of it, if that fits: so it is with files of procfs that are a single record.
 * @throws {RangeError} if it has more.
 */
export function readTextAt(
  directory: Fd,
  name: string,
  { buffer, mostBytes, whole = false }: {
    readonly buffer: Uint8Array<ArrayBuffer>;
    readonly mostBytes: number;
    readonly whole?: boolean;
  },
): string {
  using file = new Fd(check(libc.openat(directory.raw, nameOf(name).bytes, O_CLOEXEC, 0), "read", name));
  let bytes = buffer;
  for (let total = 0;;) {
    const free = total === 0 ? bytes : bytes.subarray(total);
    const count = check(libc.read(file.raw, free, BigInt(free.length)), "read", name);
    total += count;
    if (total > mostBytes) throw new RangeError(`Cannot read "${name}": it has more than ${mostBytes} bytes`);
    // All at once: to decode in pieces takes longer than to read.
    if (count === 0 || whole && total < bytes.length) return decoder.decode(bytes.subarray(0, total));
    if (total === bytes.length) bytes = twiceAsLarge(bytes);
  }
}

function twiceAsLarge(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(2 * bytes.length);
  larger.set(bytes);
  return larger;
}

/** The names in the directory `name` of a directory. */
export function namesAt(directory: Fd, name: string, buffer: Uint8Array<ArrayBuffer>): string[] {
  const how = O_DIRECTORY[Deno.build.arch] | O_CLOEXEC;
  using opened = new Fd(check(libc.openat(directory.raw, nameOf(name).bytes, how, 0), "list", name));
  const names: string[] = [];
  for (;;) {
    const count = check(libc.getdents64(opened.raw, buffer, BigInt(buffer.length)), "list", name);
    if (count === 0) return names;
    const view = new DataView(buffer.buffer, buffer.byteOffset, count);
    for (let at = 0; at < count; at += view.getUint16(at + 16, true)) {
      const begin = at + 19; // struct linux_dirent64 (getdents64(2))
      const found = decoder.decode(buffer.subarray(begin, buffer.indexOf(0, begin)));
      if (found !== "." && found !== "..") names.push(found);
    }
  }
}
