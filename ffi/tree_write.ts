/** Makes files in a directory by its descriptor; names as in tree.ts. Whoever does goes by the errno if there is no room. */

import { check } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";
import { cstring } from "./memory.ts";
import { nameBytes } from "./tree.ts";

const [O_WRONLY, O_CREAT, O_EXCL, O_CLOEXEC] = [1, 0o100, 0o200, 0o2000000];
const AT_SYMLINK_NOFOLLOW = 0x100;
const NS_PER_S = 1_000_000_000n;

/** Makes an empty directory. */
export function makeDirectoryAt(directory: Fd, name: string): void {
  check(() => libc.mkdirat(directory.raw, nameBytes(name), 0o700), "make directory", name);
}

/** Makes an empty file, open to write to it. */
export function makeFileAt(directory: Fd, name: string): Fd {
  const how = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  return new Fd(check(() => libc.openat(directory.raw, nameBytes(name), how, 0o600), "make file", name));
}

/** Makes a file longer, by a hole. */
export function extend(file: Fd, sizeBytes: number): void {
  check(() => libc.ftruncate(file.raw, BigInt(sizeBytes)), "make a file longer");
}

/** Makes a symbolic link. */
export function makeLinkAt(directory: Fd, name: string, target: string): void {
  check(() => libc.symlinkat(nameBytes(target), directory.raw, nameBytes(name)), "make link", name);
}

/** Makes a device, fifo or socket: `mode` says which. */
export function makeNodeAt(
  directory: Fd,
  name: string,
  mode: number,
  [major, minor]: readonly [major: number, minor: number] = [0, 0],
): void {
  const device = BigInt(minor & 0xff) | (BigInt(major & 0xfff) << 8n) | (BigInt(minor >>> 8) << 20n);
  check(() => libc.mknodat(directory.raw, nameBytes(name), mode, device), "make file", name);
}

/** Gives a file of another directory one more name. */
export function linkFileAt(from: Fd, name: string, to: Fd, other: string): void {
  check(() => libc.linkat(from.raw, nameBytes(name), to.raw, nameBytes(other), 0), "link file", other);
}

/** Sets owner and, unless it is a link, permissions; the owner first, which takes set-user-id away. */
export function setOwnerAt(
  directory: Fd,
  name: string,
  { uid, gid, mode }: { readonly uid: number; readonly gid: number; readonly mode: number | undefined },
): void {
  const path = nameBytes(name);
  check(() => libc.fchownat(directory.raw, path, uid, gid, AT_SYMLINK_NOFOLLOW), "set the owner of", name);
  if (mode !== undefined) check(() => libc.fchmodat(directory.raw, path, mode, 0), "set the mode of", name);
}

/** Sets the times of a file, in nanoseconds since 1970. */
export function setTimesAt(directory: Fd, name: string, accessedNs: bigint, modifiedNs: bigint): void {
  const times = new BigInt64Array([accessedNs, modifiedNs].flatMap((each) => {
    const rest = ((each % NS_PER_S) + NS_PER_S) % NS_PER_S;
    return [(each - rest) / NS_PER_S, rest];
  }));
  check(
    () => libc.utimensat(directory.raw, nameBytes(name), times, AT_SYMLINK_NOFOLLOW),
    "set the times of",
    name,
  );
}

/** Sets an extended attribute of a file by its descriptor, which may be one that only names it (O_PATH). */
export function setAttribute(file: Fd, name: string, value: Uint8Array<ArrayBuffer>): void {
  const path = cstring(`/proc/self/fd/${file.raw}`);
  check(
    () => libc.setxattr(path, nameBytes(name), value, BigInt(value.length), 0),
    "set the attribute",
    name,
  );
}
