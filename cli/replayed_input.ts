/** More input than this is not kept for another run. */
const MAX_BYTES = 64 << 20;

/** Our stdin, for one program after the other: each gets all of it, as if nobody had read it before. */
export class ReplayedInput implements Disposable {
  #kept: Uint8Array<ArrayBuffer>[] | undefined = [];
  #bytes = 0;
  #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | undefined;
  #isFirst = true;

  /** Whether it was too much to give it to a second program. */
  get isLost(): boolean {
    return this.#kept === undefined;
  }

  /** The input: the second program gets what was read for the first. */
  stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    const chunks = this.#isFirst ? this.#read() : this.#kept ?? [];
    this.#isFirst = false;
    return ReadableStream.from(chunks);
  }

  async *#read(): AsyncIterable<Uint8Array<ArrayBuffer>> {
    this.#reader = Deno.stdin.readable.getReader();
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done) return;
      this.#bytes += value.length;
      if (this.#bytes > MAX_BYTES) this.#kept = undefined;
      this.#kept?.push(value);
      yield value;
    }
  }

  [Symbol.dispose](): void {
    this.#reader?.releaseLock();
  }
}
