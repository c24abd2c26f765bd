import { check, errno, SyscallError } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";
import { addressOf } from "./memory.ts";

const CONTROL_BYTES = 24; // one cmsghdr (16) with one descriptor, padded to 8
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x40000000;
const EAGAIN = 11;

/** What {@linkcode receive} found: the end of the connection, nothing yet, or a message. */
export type Received = "end" | "nothing" | { readonly bytes: Uint8Array<ArrayBuffer>; readonly fd?: Fd };

/** Takes one message of at most `size` bytes from a socket, with the descriptor that came along (unix(7)); never waits. */
export function receive(socket: Fd, size: number): Received {
  const bytes = new Uint8Array(size);
  const control = new DataView(new ArrayBuffer(CONTROL_BYTES));
  const iov = new BigUint64Array([addressOf(bytes), BigInt(size)]);
  // struct msghdr: name, namelen, iov, iovlen, control, controllen, flags
  const header = new BigUint64Array([
    0n,
    0n,
    addressOf(iov),
    1n,
    addressOf(control.buffer),
    BigInt(CONTROL_BYTES),
    0n,
  ]);
  const length = Number(libc.recvmsg(socket.raw, header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
  if (length === -1) {
    if (errno() === EAGAIN) return "nothing";
    throw new SyscallError("receive from a socket", errno());
  }
  if (length === 0) return "end";
  const hasFd = header[5]! >= 20n && control.getInt32(12, true) === SCM_RIGHTS;
  const message = { bytes: bytes.subarray(0, length) };
  return hasFd ? { ...message, fd: new Fd(control.getInt32(16, true)) } : message;
}

/** Writes all of `bytes` to a blocking descriptor. */
export function writeAll(fd: Fd, bytes: Uint8Array<ArrayBuffer>, subject: string): void {
  for (let done = 0; done < bytes.length;) {
    done += check(libc.write(fd.raw, bytes.subarray(done), BigInt(bytes.length - done)), "write", subject);
  }
}
