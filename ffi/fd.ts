import { check } from "./errno.ts";
import { libc } from "./libc.ts";
import { cstring } from "./memory.ts";

const O_CLOEXEC = 0o2000000;
const F_DUPFD_CLOEXEC = 1030;
const [F_GETFD, F_SETFD, F_SETFL] = [1, 2, 4];
const FD_CLOEXEC = 1;
const O_NONBLOCK = 0o4000;

/** An owned file descriptor, closed exactly once. */
export class Fd implements Disposable {
  #raw: number;
  constructor(raw: number) {
    this.#raw = raw;
  }
  /** The descriptor's number. */
  get raw(): number {
    if (this.#raw < 0) throw new ReferenceError("Cannot use a closed descriptor");
    return this.#raw;
  }
  /** Whether it is closed already. */
  get closed(): boolean {
    return this.#raw < 0;
  }
  /** Gives the descriptor away: it is not closed here any more. */
  disown(): number {
    const raw = this.raw;
    this.#raw = -1;
    return raw;
  }
  /** A copy with a number of at least `from`. */
  duplicate(from = 0): Fd {
    return new Fd(check(libc.fcntl(this.raw, F_DUPFD_CLOEXEC, BigInt(from)), "duplicate a descriptor"));
  }
  /** Lets no read or write through this open file wait. */
  neverWait(): void {
    check(libc.fcntl(this.raw, F_SETFL, BigInt(O_NONBLOCK)), "set the flags of a descriptor");
  }
  [Symbol.dispose](): void {
    if (this.#raw >= 0) check(libc.close(this.disown()), "close");
  }
}

/** Opens a file, close-on-exec. */
export function open(path: string, flags: number, mode = 0): Fd {
  return new Fd(check(() => libc.open(cstring(path), flags | O_CLOEXEC, mode), "open", path));
}

/** A copy of a descriptor that belongs to someone else. */
export function duplicate(raw: number, from = 0): Fd {
  return new Fd(check(libc.fcntl(raw, F_DUPFD_CLOEXEC, BigInt(from)), "duplicate a descriptor"));
}

/** A pipe, close-on-exec; `flags` such as O_NONBLOCK apply to both ends. */
export function pipe(flags = 0): { read: Fd; write: Fd } {
  const ends = new Int32Array(2);
  check(libc.pipe2(ends, flags | O_CLOEXEC), "make a pipe");
  return { read: new Fd(ends[0]!), write: new Fd(ends[1]!) };
}

/** Two connected sockets that keep message boundaries (AF_UNIX, SOCK_SEQPACKET), close-on-exec. */
export function socketPair(): [Fd, Fd] {
  const [AF_UNIX, SOCK_SEQPACKET] = [1, 5];
  const ends = new Int32Array(2);
  check(libc.socketpair(AF_UNIX, SOCK_SEQPACKET | O_CLOEXEC, 0, ends), "make a pair of sockets");
  return [new Fd(ends[0]!), new Fd(ends[1]!)];
}

/** Makes reads and writes of a descriptor return at once; shared with everyone who has the same open file. */
export function setNonblocking(fd: Fd): void {
  const [F_GETFL, F_SETFL, O_NONBLOCK] = [3, 4, 0o4000];
  const flags = check(libc.fcntl(fd.raw, F_GETFL, 0n), "read the flags of a descriptor");
  check(libc.fcntl(fd.raw, F_SETFL, BigInt(flags | O_NONBLOCK)), "set the flags of a descriptor");
}

/** Whether a descriptor is open and was inherited: all that a process opens itself are close-on-exec. */
export function isInherited(raw: number): boolean {
  const flags = libc.fcntl(raw, F_GETFD, 0n);
  return flags !== -1 && (flags & FD_CLOEXEC) === 0;
}

/** Sees to it that no program inherits a descriptor that a library has opened; harmless if it is closed. */
export function closeAtExec(raw: number): void {
  libc.fcntl(raw, F_SETFD, BigInt(FD_CLOEXEC));
}
