import { attempt, check, SyscallError, unless } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";
import { addressOf } from "./memory.ts";

const CONTROL_BYTES = 24; // one cmsghdr (16) with one descriptor, padded to 8
const ONE_FD_BYTES = 20;
const IOVEC_OFFSET = 56;
const CONTROL_OFFSET = 72;
const PAYLOAD_OFFSET = CONTROL_OFFSET + CONTROL_BYTES;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x40000000;
const [ENOENT, EAGAIN, ECONNREFUSED] = [2, 11, 111];
const ENAMETOOLONG = 36;

/** What {@linkcode receive} found: the end of the connection, nothing yet, or a message. */
export type Received = "end" | "nothing" | { readonly bytes: Uint8Array<ArrayBuffer>; readonly fd?: Fd };

/**
 * `struct msghdr` with its `struct iovec`, one control message and the payload, all in one buffer: what only a number
 * points to might be collected before the call.
 */
class Message {
  readonly block: Uint8Array<ArrayBuffer>;
  readonly control: DataView<ArrayBuffer>;
  readonly payload: Uint8Array<ArrayBuffer>;

  constructor(size: number) {
    this.block = new Uint8Array(PAYLOAD_OFFSET + size);
    this.control = new DataView(this.block.buffer, CONTROL_OFFSET, CONTROL_BYTES);
    this.payload = this.block.subarray(PAYLOAD_OFFSET);
    const at = addressOf(this.block);
    // name, namelen, iov, iovlen, control, controllen, flags; then the iovec
    const words = [
      0n,
      0n,
      at + BigInt(IOVEC_OFFSET),
      1n,
      at + BigInt(CONTROL_OFFSET),
      BigInt(CONTROL_BYTES),
      0n,
    ];
    new BigUint64Array(this.block.buffer, 0, 9).set([...words, at + BigInt(PAYLOAD_OFFSET), BigInt(size)]);
  }

  /** The descriptor that came along, if one did. */
  get fd(): Fd | undefined {
    const received = new BigUint64Array(this.block.buffer, 0, 7)[5]! >= BigInt(ONE_FD_BYTES);
    const isFd = received && this.control.getInt32(12, true) === SCM_RIGHTS;
    return isFd ? new Fd(this.control.getInt32(16, true)) : undefined;
  }
}

/** Takes one message of at most `size` bytes from a socket, with the descriptor that came along (unix(7)); never waits. */
export function receive(socket: Fd, size: number): Received {
  const message = new Message(size);
  const flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
  const take = (): bigint => libc.recvmsg(socket.raw, message.block, flags);
  const length = unless([EAGAIN], take, "receive from a socket");
  if (length === undefined) return "nothing";
  if (length === 0) return "end";
  const { fd } = message;
  const bytes = message.payload.slice(0, length);
  return fd ? { bytes, fd } : { bytes };
}

const READ_BYTES = 65536;

/**
 * Reads from a descriptor that never waits; empty at its end, `undefined` if there is nothing yet.
 *
 * @param mostBytes How many at a time: room for them is made at each call.
 */
export function readSome(fd: Fd, mostBytes: number = READ_BYTES): Uint8Array<ArrayBuffer> | undefined {
  const buffer = new Uint8Array(mostBytes);
  const read = (): bigint => libc.read(fd.raw, buffer, BigInt(buffer.length));
  const length = unless([EAGAIN], read, "read from a descriptor");
  return length === undefined ? undefined : buffer.subarray(0, length);
}

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_SEQPACKET = 5;
const BACKLOG = 8;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const MAX_PATH_BYTES = 107;

/** `struct sockaddr_un` */
function unixAddress(path: string): Uint8Array<ArrayBuffer> {
  const name = new TextEncoder().encode(path);
  if (name.length > MAX_PATH_BYTES) {
    throw new SyscallError("connect to a path that is too long,", ENAMETOOLONG, path);
  }
  const address = new Uint8Array(2 + MAX_PATH_BYTES + 1);
  address[0] = AF_UNIX;
  address.set(name, 2);
  return address;
}

/** Takes datagrams of anybody at `path`, where nothing is yet. */
export function listenForDatagrams(path: string): Fd {
  const address = unixAddress(path);
  const socket = new Fd(check(libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "make a socket"));
  try {
    check(libc.bind(socket.raw, address, address.length), "make a socket at", path);
    Deno.chmodSync(path, 0o777);
    return socket;
  } catch (error) {
    socket[Symbol.dispose]();
    throw error;
  }
}

/** Sends a datagram to a Unix socket; `@` begins the name of an abstract one. */
export function sendDatagram(path: string, bytes: Uint8Array<ArrayBuffer>): void {
  const address = unixAddress(path);
  const length = path.startsWith("@") ? 2 + new TextEncoder().encode(path).length : address.length;
  if (path.startsWith("@")) address[2] = 0;
  using socket = new Fd(check(libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "make a socket"));
  const sent = libc.sendto(socket.raw, bytes, BigInt(bytes.length), 0, address, length);
  check(sent, "send to", path);
}

/** Listens at `path`, where nothing is yet, for connections of this user that keep message boundaries. */
export function listenAt(path: string): Fd {
  const address = unixAddress(path);
  const socket = new Fd(check(libc.socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), "make a socket"));
  try {
    check(libc.bind(socket.raw, address, address.length), "make a socket at", path);
    Deno.chmodSync(path, 0o600);
    check(libc.listen(socket.raw, BACKLOG), "listen at", path);
    return socket;
  } catch (error) {
    socket[Symbol.dispose]();
    throw error;
  }
}

/**
 * Connects to the Unix socket at `path` (unix(7)).
 *
 * @param options Whether the connection keeps message boundaries.
 * @throws {SyscallError} if nobody listens there.
 */
export function connect(path: string, { messages = false }: { readonly messages?: boolean } = {}): Fd {
  const address = unixAddress(path);
  const type = messages ? SOCK_SEQPACKET : SOCK_STREAM;
  const socket = new Fd(check(libc.socket(AF_UNIX, type | SOCK_CLOEXEC, 0), "make a socket"));
  try {
    check(libc.connect(socket.raw, address, address.length), "connect to", path);
    return socket;
  } catch (error) {
    socket[Symbol.dispose]();
    throw error;
  }
}

/**
 * Connects to the Unix socket at `path` by a connection that never waits.
 *
 * @returns `nobody` if nobody listens there, `busy` if too many wait to be heard.
 */
export function tryConnect(path: string): Fd | "nobody" | "busy" {
  const address = unixAddress(path);
  const how = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  const socket = new Fd(check(libc.socket(AF_UNIX, how, 0), "make a socket"));
  const result = attempt(() => libc.connect(socket.raw, address, address.length), EAGAIN);
  if (result === 0) return socket;
  socket[Symbol.dispose]();
  if (result === -EAGAIN) return "busy";
  if (result === -ENOENT || result === -ECONNREFUSED) return "nobody";
  throw new SyscallError("connect to", -result, path);
}

/** Writes what there is room for to a descriptor that never waits, and says how much that was. */
export function writeSome(fd: Fd, bytes: Uint8Array<ArrayBuffer>): number {
  const write = (): bigint => libc.write(fd.raw, bytes, BigInt(bytes.length));
  return unless([EAGAIN], write, "write to a descriptor") ?? 0;
}

/** Sends `bytes` with a descriptor along (SCM_RIGHTS). */
export function sendWithFd(socket: Fd, bytes: Uint8Array<ArrayBuffer>, fd: Fd): void {
  const message = new Message(bytes.length);
  message.payload.set(bytes);
  const { control } = message;
  control.setBigUint64(0, BigInt(ONE_FD_BYTES), true); // struct cmsghdr: len, level, type
  control.setInt32(8, SOL_SOCKET, true);
  control.setInt32(12, SCM_RIGHTS, true);
  control.setInt32(16, fd.raw, true);
  check(libc.sendmsg(socket.raw, message.block, 0), "send a descriptor");
}

/** Writes all of `bytes` to a blocking descriptor. */
export function writeAll(fd: Fd, bytes: Uint8Array<ArrayBuffer>, subject: string): void {
  for (let done = 0; done < bytes.length;) {
    const write = (): bigint => libc.write(fd.raw, bytes.subarray(done), BigInt(bytes.length - done));
    done += check(write, "write", subject);
  }
}
