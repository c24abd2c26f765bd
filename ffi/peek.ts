/** Reads the memory of another process, and what its descriptors are. */

import { attempt } from "./errno.ts";
import type { Fd } from "./fd.ts";
import { libc } from "./libc.ts";
import { addressOf } from "./memory.ts";
import { openPidFd, takeFd } from "./process.ts";

const PAGE_BYTES = 4096n;
/** The kernel takes no longer path. */
const MAX_PATH_BYTES = 4096;
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_PROTOCOL = 38;

/**
 * `length` bytes from an address of another process (process_vm_readv(2)); nothing if they are not all there, or not
 * for this user to see.
 */
export function readMemory(
  pid: number,
  address: bigint,
  length: number,
): Uint8Array<ArrayBuffer> | undefined {
  const bytes = new Uint8Array(length);
  const local = new BigUint64Array([addressOf(bytes), BigInt(length)]); // struct iovec
  const remote = new BigUint64Array([address, BigInt(length)]);
  const count = Number(libc.process_vm_readv(pid, local, 1n, remote, 1n, 0n));
  return count === length ? bytes : undefined;
}

/** The bytes up to a NUL from an address of another process; nothing if there is none for longer than any path. */
export function readString(pid: number, address: bigint): Uint8Array<ArrayBuffer> | undefined {
  const found: number[] = [];
  for (let at = address; found.length < MAX_PATH_BYTES;) {
    const rest = Number(PAGE_BYTES - at % PAGE_BYTES); // the next page may not be there
    const piece = readMemory(pid, at, Math.min(rest, MAX_PATH_BYTES - found.length));
    if (!piece) return undefined;
    const end = piece.indexOf(0);
    found.push(...end < 0 ? piece : piece.subarray(0, end));
    if (end >= 0) return new Uint8Array(found);
    at += BigInt(piece.length);
  }
  return undefined;
}

/** Type and protocol of another process's socket (socket(7)); nothing if `number` is none, or not for us to see. */
export function socketKind(pid: number, number: number): { type: number; protocol: number } | undefined {
  try {
    using pidFd = openPidFd(pid);
    using socket = takeFd(pidFd, number);
    const [type, protocol] = [SO_TYPE, SO_PROTOCOL].map((name) => option(socket, name));
    return type === undefined || protocol === undefined ? undefined : { type, protocol };
  } catch {
    return undefined;
  }
}

function option(socket: Fd, name: number): number | undefined {
  const value = new Int32Array(1);
  return libc.getsockopt(socket.raw, SOL_SOCKET, name, value, new Uint32Array([4])) === 0
    ? value[0]
    : undefined;
}

/** Whether nothing can be written where a descriptor of ours leads, since its mount is read-only (access(2)). */
export function isOnReadonlyMount(fd: Fd): boolean {
  const [W_OK, EROFS] = [2, 30];
  const path = new TextEncoder().encode(`/proc/self/fd/${fd.raw}\0`);
  return attempt(() => libc.faccessat(-100, path, W_OK, 0), EROFS) === -EROFS;
}
