/** Reads a tree of files by descriptors. Names are bytes to the kernel: here each character of a name is one of them. */

import { check, unless } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";
import { addressOf, cstring } from "./memory.ts";

const AT_FDCWD = -100n;
const AT_EMPTY_PATH = 0x1000;
const AT_SYMLINK_NOFOLLOW = 0x100;
const OPEN_TREE_CLONE = 1n;
const O_CLOEXEC = 0o2000000;
const O_NOFOLLOW = Deno.build.arch === "x86_64" ? 0o400000 : 0o100000;
const [SYS_open_tree, SYS_openat2] = [428n, 437n];
/** No other mount, no link of /proc, no other link, nothing above. */
const RESOLVE_BELOW = 0xfn;
const STATX_BASIC_STATS = 0x7ff;
const STATX_BYTES = 256;
const STATFS_BYTES = 120;
const ENTRIES_BYTES = 64 << 10;
const NAME_OFFSET = 19; // struct linux_dirent64
const [SEEK_SET, SEEK_DATA, SEEK_HOLE] = [0, 3, 4];
const [ENOENT, ENXIO, ENOTSUP, ENODATA] = [2, 6, 95, 61];
/** What calls write to that are made for every file: as large as attributes and their list can be (xattr(7)). */
const STATX = new Uint8Array(STATX_BYTES);
const STATX_VIEW = new DataView(STATX.buffer);
const BUFFERS = [new Uint8Array(64 << 10), new Uint8Array(64 << 10)] as const;
const MOST_LINK_BYTES = 4096;

/** The bytes of a name, with a NUL behind them. */
export function nameBytes(name: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(name.length + 1);
  for (let index = 0; index < name.length; index++) bytes[index] = name.charCodeAt(index);
  return bytes;
}

/** A name of bytes. */
export function nameOf(bytes: Uint8Array): string {
  let name = "";
  for (let from = 0; from < bytes.length; from += 4096) {
    name += String.fromCharCode(...bytes.subarray(from, from + 4096));
  }
  return name;
}

/** What is known of a file; times are nanoseconds since 1970. */
export interface FileLook {
  /** `S_IFMT` and permissions. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  readonly sizeBytes: number;
  readonly accessedNs: bigint;
  readonly modifiedNs: bigint;
  /** When anything of it was changed last; nobody can set it. */
  readonly changedNs: bigint;
  /** Its file system and inode: no two files have the same. */
  readonly device: number;
  readonly inode: bigint;
  /** Major and minor number of the device that it is. */
  readonly node: readonly [major: number, minor: number];
}

/** What is at the name `name` in a directory, itself if that is empty; nothing if there is no such name. */
export function lookAt(directory: Fd, name = ""): FileLook | undefined {
  const how = name === "" ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;
  const look = (): number => libc.statx(directory.raw, nameBytes(name), how, STATX_BASIC_STATS, STATX);
  if (unless([ENOENT], look, "look at", name) === undefined) return undefined;
  const view = STATX_VIEW;
  const ns = (at: number): bigint =>
    view.getBigInt64(at, true) * 1_000_000_000n + BigInt(view.getUint32(at + 8, true));
  return {
    links: view.getUint32(16, true),
    uid: view.getUint32(20, true),
    gid: view.getUint32(24, true),
    mode: view.getUint16(28, true),
    sizeBytes: Number(view.getBigUint64(40, true)),
    accessedNs: ns(64),
    changedNs: ns(96),
    modifiedNs: ns(112),
    node: [view.getUint32(128, true), view.getUint32(132, true)],
    device: view.getUint32(136, true) * 2 ** 20 + view.getUint32(140, true),
    inode: view.getBigUint64(32, true),
  };
}

/** A copy of the mount at a path, without those on it, that is mounted nowhere (open_tree(2)). */
export function detachedCopy(path: string): Fd {
  const name = cstring(path);
  const how = OPEN_TREE_CLONE | BigInt(O_CLOEXEC);
  return new Fd(check(libc.syscall(SYS_open_tree, AT_FDCWD, addressOf(name), how, 0n), "look at", path));
}

/** Opens what is at a path below a directory on the same mount; no link is followed (openat2(2)). */
export function openBelow(root: Fd, path: string, flags: number, mode = 0): Fd {
  const name = nameBytes(path === "" ? "." : path);
  const how = new BigUint64Array([BigInt(flags | O_CLOEXEC), BigInt(mode), RESOLVE_BELOW]);
  const raw = libc.syscall(SYS_openat2, BigInt(root.raw), addressOf(name), addressOf(how), 24n);
  return new Fd(check(raw, "open", path));
}

/** Opens what has a name in a directory, itself if it is a link (only with O_PATH). */
export function openAt(directory: Fd, name: string, flags: number): Fd {
  const how = flags | O_NOFOLLOW | O_CLOEXEC;
  return new Fd(check(libc.openat(directory.raw, nameBytes(name), how, 0), "open", name));
}

/** The names in an open directory, sorted. */
export function namesIn(directory: Fd): string[] {
  const names: string[] = [];
  const buffer = new Uint8Array(ENTRIES_BYTES);
  const view = new DataView(buffer.buffer);
  for (;;) {
    const length = check(
      libc.getdents64(directory.raw, buffer, BigInt(buffer.length)),
      "list a directory",
    );
    if (length === 0) return names.sort();
    for (let at = 0; at < length; at += view.getUint16(at + 16, true)) {
      const from = at + NAME_OFFSET;
      const name = nameOf(buffer.subarray(from, buffer.indexOf(0, from)));
      if (name !== "." && name !== "..") names.push(name);
    }
  }
}

/** Where the link of a descriptor leads, as bytes. */
export function targetOf(link: Fd): string {
  const bytes = new Uint8Array(MOST_LINK_BYTES);
  const length = libc.readlinkat(link.raw, cstring(""), bytes, BigInt(bytes.length));
  return nameOf(bytes.subarray(0, check(length, "read a link")));
}

/**
 * The extended attributes of a file by its descriptor.
 *
 * @param isOpen Whether it is open, and does not only name the file (O_PATH).
 */
export function attributesOf(file: Fd, isOpen: boolean): Map<string, Uint8Array<ArrayBuffer>> {
  const path = cstring(isOpen ? "" : `/proc/self/fd/${file.raw}`);
  const [list, value] = BUFFERS;
  const room = BigInt(list.length);
  const read = (): bigint =>
    isOpen ? libc.flistxattr(file.raw, list, room) : libc.listxattr(path, list, room);
  const length = unless([ENOTSUP], read, "list the attributes of a file") ?? 0;
  const names = nameOf(list.subarray(0, length)).split("\0");
  const found = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const name of names.filter((each) => each !== "")) {
    const key = nameBytes(name);
    const get = (): bigint =>
      isOpen ? libc.fgetxattr(file.raw, key, value, room) : libc.getxattr(path, key, value, room);
    const bytes = unless([ENODATA], get, "read an attribute", name);
    if (bytes === undefined) continue; // listed, but for others
    found.set(name, value.slice(0, bytes));
  }
  return found;
}

/** The parts of a file that are no holes, as far as its file system tells (lseek(2)). */
export function* extentsOf(file: Fd, sizeBytes: number): Iterable<[offset: number, bytes: number]> {
  for (let at = 0; at < sizeBytes;) {
    const find = (): bigint => libc.lseek(file.raw, BigInt(at), SEEK_DATA);
    const from = unless([ENXIO], find, "look for the holes of a file");
    if (from === undefined) break;
    const to = Math.min(check(libc.lseek(file.raw, BigInt(from), SEEK_HOLE), "find a hole"), sizeBytes);
    if (to <= from) break;
    yield [from, to - from];
    at = to;
  }
}

/**
 * Copies a part of a file to where another one stands (sendfile(2)).
 *
 * @throws {RangeError} if the file ends before.
 */
export function copyPart(to: Fd, from: Fd, offset: number, bytes: number): void {
  const place = new BigInt64Array([BigInt(offset)]);
  for (let done = 0; done < bytes;) {
    const count = check(() => libc.sendfile(to.raw, from.raw, place, BigInt(bytes - done)), "copy a file");
    if (count === 0) throw new RangeError("Cannot copy a file: it ends too early");
    done += count;
  }
}

/** Stands at a place of a file. */
export function seek(file: Fd, offset: number): void {
  check(libc.lseek(file.raw, BigInt(offset), SEEK_SET), "go to a place in a file");
}

/** The number of the kind of file system that a descriptor is on (statfs(2)). */
export function fileSystemOf(file: Fd): bigint {
  const info = new BigUint64Array(STATFS_BYTES / 8);
  check(libc.fstatfs(file.raw, info), "look at a file system");
  return info[0]!;
}

/** Fills `bytes` from a place of a file (pread(2)). @throws {RangeError} if the file ends before. */
export function readAt(file: Fd, bytes: Uint8Array<ArrayBuffer>, offset: number): void {
  for (let done = 0; done < bytes.length;) {
    const rest = bytes.subarray(done);
    const count = check(
      libc.pread(file.raw, rest, BigInt(rest.length), BigInt(offset + done)),
      "read a file",
    );
    if (count === 0) throw new RangeError("Cannot read a file: it ends too early");
    done += count;
  }
}
