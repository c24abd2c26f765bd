import { addressText } from "./address.ts";
import { check, unless } from "./errno.ts";
import { duplicate, Fd, pipe } from "./fd.ts";
import { libc } from "./libc.ts";

/** Moving bytes between TCP connections inside of the kernel, by splice(2) through a pipe: nobody copies them. */

const [O_NONBLOCK, F_SETPIPE_SZ] = [0o4000, 1031];
const [SPLICE_F_MOVE, SPLICE_F_NONBLOCK] = [1, 2];
const [EINTR, EAGAIN] = [4, 11];
const [SOL_SOCKET, SO_LINGER, SHUT_RDWR] = [1, 13, 2];
/** `struct linger`: what is not sent by then is thrown away. */
const AT_ONCE = Int32Array.of(1, 0);
const [AF_INET, AF_INET6, SOCKADDR_BYTES] = [2, 10, 28];
/** What the kernel lets a pipe have without more rights. */
const PIPE_BYTES = 1 << 20;

/** One end of a connection as an address and a port. */
export interface SocketEnd {
  readonly hostname: string;
  readonly port: number;
}

/**
 * A copy of the descriptor of one of this process's TCP connections, which is found by its two ends.
 *
 * @returns Nothing if there is no such connection.
 */
export function descriptorOf(local: SocketEnd, remote: SocketEnd): Fd | undefined {
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    const raw = Number(name);
    // The other end first: it tells connections apart, and what is none has no other end.
    if (isEnd(libc.getpeername, raw, remote) && isEnd(libc.getsockname, raw, local)) return duplicate(raw);
  }
  return undefined;
}

/** The two ends of a connection. */
export interface Ends {
  readonly local: SocketEnd;
  readonly remote: SocketEnd;
}

/** Cuts those of these connections that this process still has open, whatever waits for them. */
export function cutConnections(all: readonly Ends[]): void {
  const wanted = new Set(all.map(keyOfEnds));
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    const raw = Number(name);
    const remote = endAt(libc.getpeername, raw);
    const local = remote && endAt(libc.getsockname, raw);
    if (!local || !wanted.has(keyOfEnds({ local, remote }))) continue;
    libc.setsockopt(raw, SOL_SOCKET, SO_LINGER, AT_ONCE, AT_ONCE.byteLength);
    libc.shutdown(raw, SHUT_RDWR);
  }
}

/** The same for the same ends. */
export function keyOfEnds({ local, remote }: Ends): string {
  return `${local.hostname} ${local.port} ${remote.hostname} ${remote.port}`;
}

type NameOf = (fd: number, address: Uint8Array<ArrayBuffer>, length: Uint32Array<ArrayBuffer>) => number;

function isEnd(nameOf: NameOf, raw: number, { hostname, port }: SocketEnd): boolean {
  const end = endAt(nameOf, raw);
  return end?.port === port && end.hostname === hostname;
}

function endAt(nameOf: NameOf, raw: number): SocketEnd | undefined {
  const address = new Uint8Array(SOCKADDR_BYTES);
  if (nameOf(raw, address, Uint32Array.of(SOCKADDR_BYTES)) !== 0) return undefined;
  const family = new Uint16Array(address.buffer, 0, 1)[0];
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const ip = family === AF_INET ? address.subarray(4, 8) : address.subarray(8, 24);
  return { hostname: addressText(ip), port: address[2]! << 8 | address[3]! };
}

/** A pipe through which bytes go from one connection to another. None of its calls waits. */
export class SplicePipe implements Disposable {
  readonly #from: Fd;
  readonly #to: Fd;
  readonly #ends: { readonly read: Fd; readonly write: Fd };
  /** How many bytes are in the pipe. */
  held = 0;

  /** Takes both connections over: they are closed with it. */
  constructor(from: Fd, to: Fd) {
    [this.#from, this.#to] = [from, to];
    this.#ends = pipe(O_NONBLOCK);
    libc.fcntl(this.#ends.write.raw, F_SETPIPE_SZ, BigInt(PIPE_BYTES)); // with less it goes on, too
  }

  /** Takes what is there into the pipe, but no more than `most`; returns how much, 0 at the end, and nothing if nothing is there yet. */
  fill(most: number): number | undefined {
    const count = splice(this.#from, this.#ends.write, most);
    this.held += count ?? 0;
    return count;
  }

  /** Gives the other connection what it takes of the pipe; nothing if it takes nothing now. */
  drain(): number | undefined {
    const count = splice(this.#ends.read, this.#to, this.held);
    this.held -= count ?? 0;
    return count;
  }

  /** Reads from the pipe what the other connection is then written in another way. */
  takeOut(buffer: Uint8Array<ArrayBuffer>): number {
    const most = BigInt(Math.min(buffer.length, this.held));
    const count = check(libc.read(this.#ends.read.raw, buffer, most), "read from a pipe");
    this.held -= count;
    return count;
  }

  [Symbol.dispose](): void {
    for (const each of [this.#from, this.#to, this.#ends.read, this.#ends.write]) each[Symbol.dispose]();
  }
}

/** Moves at most so many bytes; nothing if it would have to wait. */
function splice(from: Fd, to: Fd, most: number): number | undefined {
  const flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
  const bytes = BigInt(Math.floor(most));
  const move = (): bigint => libc.splice(from.raw, null, to.raw, null, bytes, flags);
  return unless([EAGAIN, EINTR], move, "move bytes between connections");
}
