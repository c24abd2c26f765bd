import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import type { Stream } from "./stream.ts";

const PIECE_BYTES = 65536;

/**
 * A connection as a stream of Node's, with bytes that came before. It reads no more than is taken.
 *
 * @param allowHalfOpen Whether it goes on when the other side has ended what it sends: HTTP/2 does not.
 */
export function duplexOf(
  stream: Stream,
  first: Uint8Array,
  place: { readonly touch: () => void },
  allowHalfOpen = true,
): Duplex {
  let before: Uint8Array | undefined = first.length > 0 ? first.slice() : undefined;
  return new Duplex({
    allowHalfOpen,
    read(): void {
      if (before) {
        this.push(Buffer.from(before));
        before = undefined;
        return;
      }
      const buffer = Buffer.alloc(PIECE_BYTES);
      stream.read(buffer).then(
        (count) => {
          place.touch();
          this.push(count === null ? null : buffer.subarray(0, count));
        },
        (error) => this.destroy(error),
      );
    },
    write(chunk, _encoding, done): void {
      stream.write(chunk).then(() => done(), done);
    },
    final(done): void {
      stream.closeWrite().then(() => done(), done);
    },
    destroy(error, done): void {
      stream.close();
      done(error);
    },
  });
}
