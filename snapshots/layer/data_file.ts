import { type Fd, open } from "../../ffi/fd.ts";
import { writeAll } from "../../ffi/socket.ts";
import { copyPart, readAt } from "../../ffi/tree.ts";

const [O_WRONLY, O_CREAT, O_EXCL] = [1, 0o100, 0o200];
const BUFFER_BYTES = 1 << 20;
/** Up to this size it takes less time to gather what is written than to write it. */
const SMALL_BYTES = 128 << 10;

/** A file beside CRIU's images that takes the contents of other files, one after the other. */
export class DataFile implements Disposable {
  readonly #file: Fd;
  /** Of small files, not written yet. */
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #filled = 0;
  #bytes = 0;

  /** @param path There must be no such file yet. */
  constructor(readonly path: string) {
    this.#file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600);
  }

  /** How much was stored. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds a part of a file. */
  store(file: Fd, offset: number, bytes: number): void {
    this.#bytes += bytes;
    if (bytes > this.#buffer.length - this.#filled) this.flush();
    if (bytes > SMALL_BYTES) {
      this.flush();
      return copyPart(this.#file, file, offset, bytes);
    }
    readAt(file, this.#buffer.subarray(this.#filled, this.#filled + bytes), offset);
    this.#filled += bytes;
  }

  /** Writes what is not written yet. */
  flush(): void {
    writeAll(this.#file, this.#buffer.subarray(0, this.#filled), this.path);
    this.#filled = 0;
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}
