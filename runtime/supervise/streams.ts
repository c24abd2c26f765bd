import { attempt, SyscallError, unless } from "../../ffi/errno.ts";
import { type Fd, setNonblocking } from "../../ffi/fd.ts";
import { libc } from "../../ffi/libc.ts";
import { EPOLLIN, EPOLLOUT, reactor } from "../launch/reactor.ts";

const CHUNK_BYTES = 65536;
/** More than a pipe can hold, so that a writer who is still there cannot keep us. */
const MOST_LAST_CHUNKS = 64;
const [EAGAIN, EIO, EPIPE] = [11, 5, 32];

/** A stream whose descriptor is closed with it, or by whoever disposes of this: it is the program's no more. */
export interface Owned<Stream> extends Disposable {
  readonly stream: Stream;
}

/**
 * What comes out of a pipe or terminal, as it comes; closes the descriptor at its end. Disposing of it puts what is
 * there into the stream and ends it, so that a reader gets everything and one who never reads keeps no descriptor.
 */
export function readable(fd: Fd): Owned<ReadableStream<Uint8Array<ArrayBuffer>>> {
  setNonblocking(fd);
  let waiting: Wait | undefined;
  let controller!: ReadableByteStreamController;
  const close = (): void => {
    waiting?.stop();
    fd[Symbol.dispose]();
  };
  const end = (): void => {
    close();
    controller.close();
    controller.byobRequest?.respond(0);
  };
  /** Takes one chunk, or the end; false if there is neither. */
  const take = (): boolean => {
    const buffer = new Uint8Array(CHUNK_BYTES);
    const count = attempt(() => libc.read(fd.raw, buffer, BigInt(CHUNK_BYTES)), EAGAIN, EIO);
    if (count === -EAGAIN) return false;
    // A terminal whose program is gone reads as EIO.
    if (count === 0 || count === -EIO) end();
    else if (count > 0) controller.enqueue(buffer.subarray(0, count));
    else throw new SyscallError("read from the sandbox", -count);
    return true;
  };
  const stream = new ReadableStream({
    type: "bytes",
    start: (own) => void (controller = own),
    async pull(): Promise<void> {
      while (!fd.closed && !take()) {
        waiting = wait(fd, EPOLLIN);
        await waiting.done;
      }
    },
    cancel: close,
  });
  return {
    stream,
    [Symbol.dispose]: () => {
      for (let chunk = 0; chunk < MOST_LAST_CHUNKS && !fd.closed && take(); chunk++);
      if (!fd.closed) end();
    },
  };
}

/**
 * Writes into a pipe or terminal as fast as the other side takes it; closes the descriptor when it is closed, or
 * disposed of: what is written then fails with EPIPE.
 */
export function writable(fd: Fd): Owned<WritableStream<Uint8Array<ArrayBuffer>>> {
  setNonblocking(fd);
  let waiting: Wait | undefined;
  const close = (): void => {
    waiting?.stop();
    fd[Symbol.dispose]();
  };
  const stream = new WritableStream<Uint8Array<ArrayBuffer>>({
    async write(chunk): Promise<void> {
      for (let done = 0; done < chunk.length;) {
        if (fd.closed) throw new SyscallError("write to the sandbox", EPIPE);
        const rest = chunk.subarray(done);
        const send = (): bigint => libc.write(fd.raw, rest, BigInt(rest.length));
        const count = unless([EAGAIN], send, "write to the sandbox");
        if (count !== undefined) done += count;
        else {
          waiting = wait(fd, EPOLLOUT);
          await waiting.done;
        }
      }
    },
    close,
    abort: close,
  });
  return { stream, [Symbol.dispose]: close };
}

interface Wait {
  readonly done: Promise<void>;
  stop(): void;
}

/** Waits until `fd` has one of `events`, or until it is stopped, which must be before `fd` is closed. */
function wait(fd: Fd, events: number): Wait {
  const { promise, resolve } = Promise.withResolvers<void>();
  const watch = reactor.watch(fd, events, () => stop());
  const stop = (): void => {
    watch[Symbol.dispose]();
    resolve();
  };
  return { done: promise, stop };
}
