/** Where bytes come from: a connection. */
export interface ByteSource {
  /** Reads into the buffer, and returns how many; `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
}

/** A buffer begins small, as most connections are; what fills it lets it grow. */
const [FIRST_BYTES, MOST_BYTES] = [8192, 131072];

/** Bytes of a connection that are looked at before they are taken. */
export class ByteReader {
  readonly #source: ByteSource;
  #buffer: Uint8Array<ArrayBuffer>;
  #start = 0;
  #end = 0;

  constructor(source: ByteSource, first: Uint8Array = new Uint8Array()) {
    this.#source = source;
    this.#buffer = new Uint8Array(Math.max(FIRST_BYTES, first.length));
    this.#buffer.set(first);
    this.#end = first.length;
  }

  /** What has come and was not taken; valid until the next `fill`. */
  get available(): Uint8Array {
    return this.#buffer.subarray(this.#start, this.#end);
  }

  /** Takes bytes out of what is available; valid until the next `fill`. */
  take(count: number): Uint8Array {
    const taken = this.#buffer.subarray(this.#start, this.#start + count);
    this.#start += taken.length;
    return taken;
  }

  /** Waits for more bytes; `false` at the end. The buffer grows, but not without bounds. */
  async fill(): Promise<boolean> {
    if (this.#start === this.#end) {
      const isSmall = this.#end === this.#buffer.length && this.#end < MOST_BYTES;
      if (isSmall) this.#buffer = new Uint8Array(this.#end * 2); // the last read filled it
      [this.#start, this.#end] = [0, 0];
    }
    if (this.#end === this.#buffer.length) this.#makeRoom();
    const count = await this.#source.read(this.#buffer.subarray(this.#end));
    if (count === null || count === 0) return false;
    this.#end += count;
    return true;
  }

  /** Reads past the buffer, which must be empty. */
  readInto(buffer: Uint8Array): Promise<number | null> {
    if (this.#start !== this.#end) throw new TypeError("Cannot read past bytes that are there");
    return this.#source.read(buffer);
  }

  #makeRoom(): void {
    const kept = this.#buffer.subarray(this.#start, this.#end);
    if (this.#start === 0) {
      if (this.#buffer.length >= MOST_BYTES) throw new RangeError("Cannot buffer more of a connection");
      const larger = new Uint8Array(this.#buffer.length * 2);
      larger.set(kept);
      this.#buffer = larger;
    } else {
      this.#buffer.copyWithin(0, this.#start, this.#end);
    }
    [this.#start, this.#end] = [0, kept.length];
  }
}
