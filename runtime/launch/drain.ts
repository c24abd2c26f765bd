import { SyscallError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { readSome } from "../../ffi/socket.ts";
import { EPOLLIN, reactor, type Watch } from "./reactor.ts";

/** How much of the end of an output is kept. */
const MOST_BYTES = 4096;

/** Takes what comes out of a pipe, so that nobody waits for room in it, and keeps the end. */
export class Drain implements Disposable {
  readonly #pipe: Fd;
  readonly #watch: Watch;
  #kept = new Uint8Array(0);
  #isCut = false;

  /** @param pipe The end to read from; it is ours from here on. */
  constructor(pipe: Fd) {
    pipe.neverWait();
    this.#pipe = pipe;
    this.#watch = reactor.watch(pipe, EPOLLIN, () => this.#take());
  }

  /** What has come so far. */
  get text(): string {
    this.#take();
    return (this.#isCut ? "…" : "") + new TextDecoder().decode(this.#kept);
  }

  #take(): void {
    while (!this.#pipe.closed) {
      const bytes = this.#read();
      if (bytes === undefined) return;
      if (bytes.length === 0) return this[Symbol.dispose]();
      const all = new Uint8Array(this.#kept.length + bytes.length);
      all.set(this.#kept);
      all.set(bytes, this.#kept.length);
      this.#isCut ||= all.length > MOST_BYTES;
      this.#kept = all.slice(-MOST_BYTES);
    }
  }

  #read(): Uint8Array | undefined {
    try {
      return readSome(this.#pipe);
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      return new Uint8Array(0); // what cannot be read any more has ended
    }
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    this.#pipe[Symbol.dispose]();
  }
}
