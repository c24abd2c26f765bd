import { check, errno, SyscallError } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";
import { addressOf } from "./memory.ts";

const CONTROL_BYTES = 24; // one cmsghdr (16) with one descriptor, padded to 8
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x40000000;
const EAGAIN = 11;
const ENAMETOOLONG = 36;

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

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const MAX_PATH_BYTES = 107;

/**
 * Connects to the Unix socket at `path` (unix(7)).
 *
 * @throws {SyscallError} if nobody listens there.
 */
export function connect(path: string): Fd {
  const name = new TextEncoder().encode(path);
  if (name.length > MAX_PATH_BYTES) {
    throw new SyscallError("connect to a path that is too long,", ENAMETOOLONG, path);
  }
  const address = new Uint8Array(2 + MAX_PATH_BYTES + 1); // struct sockaddr_un
  address[0] = AF_UNIX;
  address.set(name, 2);
  const socket = new Fd(check(libc.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "make a socket"));
  try {
    check(libc.connect(socket.raw, address, address.length), "connect to", path);
    return socket;
  } catch (error) {
    socket[Symbol.dispose]();
    throw error;
  }
}

/** Sends `bytes` with a descriptor along (SCM_RIGHTS). */
export function sendWithFd(socket: Fd, bytes: Uint8Array<ArrayBuffer>, fd: Fd): void {
  const control = new DataView(new ArrayBuffer(CONTROL_BYTES));
  control.setBigUint64(0, 20n, true); // struct cmsghdr: len, level SOL_SOCKET, type
  control.setInt32(8, 1, true);
  control.setInt32(12, SCM_RIGHTS, true);
  control.setInt32(16, fd.raw, true);
  const iov = new BigUint64Array([addressOf(bytes), BigInt(bytes.length)]);
  const header = new BigUint64Array([
    0n,
    0n,
    addressOf(iov),
    1n,
    addressOf(control.buffer),
    BigInt(CONTROL_BYTES),
    0n,
  ]);
  check(libc.sendmsg(socket.raw, header, 0), "send a descriptor");
}

/** Writes all of `bytes` to a blocking descriptor. */
export function writeAll(fd: Fd, bytes: Uint8Array<ArrayBuffer>, subject: string): void {
  for (let done = 0; done < bytes.length;) {
    done += check(libc.write(fd.raw, bytes.subarray(done), BigInt(bytes.length - done)), "write", subject);
  }
}
