import { errno, SyscallError } from "../../ffi/errno.ts";
import { type Fd, setNonblocking } from "../../ffi/fd.ts";
import { libc } from "../../ffi/libc.ts";
import { EPOLLIN, EPOLLOUT, reactor } from "../launch/reactor.ts";

const CHUNK_BYTES = 65536;
const [EAGAIN, EIO, EPIPE] = [11, 5, 32];

/** What comes out of a pipe or terminal, as it comes; closes the descriptor at its end. */
export function readable(fd: Fd): ReadableStream<Uint8Array<ArrayBuffer>> {
  setNonblocking(fd);
  return new ReadableStream({
    type: "bytes",
    async pull(controller): Promise<void> {
      const buffer = new Uint8Array(CHUNK_BYTES);
      for (;;) {
        if (fd.closed) return controller.close();
        const count = Number(libc.read(fd.raw, buffer, BigInt(CHUNK_BYTES)));
        const why = count === -1 ? errno() : 0;
        // A terminal whose program is gone reads as EIO.
        if (count === 0 || why === EIO) {
          fd[Symbol.dispose]();
          controller.close();
          controller.byobRequest?.respond(0);
          return;
        }
        if (count > 0) return controller.enqueue(buffer.subarray(0, count));
        if (why !== EAGAIN) throw new SyscallError("read from the sandbox", why);
        await reactor.ready(fd, EPOLLIN);
      }
    },
    cancel: () => fd[Symbol.dispose](),
  });
}

/** Writes into a pipe or terminal as fast as the other side takes it; closes the descriptor when it is closed. */
export function writable(fd: Fd): WritableStream<Uint8Array<ArrayBuffer>> {
  setNonblocking(fd);
  const close = (): void => fd[Symbol.dispose]();
  return new WritableStream({
    async write(chunk): Promise<void> {
      for (let done = 0; done < chunk.length;) {
        const count = Number(libc.write(fd.raw, chunk.subarray(done), BigInt(chunk.length - done)));
        if (count >= 0) done += count;
        else if (errno() === EAGAIN) await reactor.ready(fd, EPOLLOUT);
        else throw new SyscallError("write to the sandbox", errno() || EPIPE);
      }
    },
    close,
    abort: close,
  });
}
