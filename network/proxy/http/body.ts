import type { ByteReader } from "../bytes.ts";
import { Refusal } from "../refusal.ts";
import type { Framing } from "./head.ts";

/** 16^7 - 1 bytes are the most that a chunk says it has. */
const SIZE_DIGITS = 7;
const TRAILER_BYTES = 8192;
/** Bodies with more to come are read so much at a time. */
const LARGE_BYTES = 262144;

/**
 * The bytes of a body, without what frames them; each piece is valid until the next is asked for.
 *
 * @throws {Refusal} When it ends early, or its chunks could be read in two ways.
 */
export async function* body(reader: ByteReader, framing: Framing): AsyncGenerator<Uint8Array> {
  switch (framing.kind) {
    case "none":
      return;
    case "length":
      yield* exactly(reader, framing.bytes);
      return;
    case "chunked":
      for (;;) {
        const size = chunkSize(await line(reader, SIZE_DIGITS));
        if (size === 0) break;
        yield* exactly(reader, size);
        if (await line(reader, 0) !== "") throw chunk("a chunk is longer than it says");
      }
      await trailers(reader);
      return;
    case "until close":
      for (;;) {
        if (reader.available.length === 0 && !await reader.fill()) return;
        yield reader.take(reader.available.length);
      }
    default:
      framing satisfies never;
  }
}

async function* exactly(reader: ByteReader, bytes: number): AsyncGenerator<Uint8Array> {
  for (let left = bytes; left > 0;) {
    if (reader.available.length === 0 && !await reader.fill()) throw chunk("the body ends early");
    const piece = reader.take(Math.min(left, reader.available.length));
    left -= piece.length;
    yield piece;
    if (left >= LARGE_BYTES && reader.available.length === 0) return yield* large(reader, left);
  }
}

/** Reads on into one buffer while the other is used. */
async function* large(reader: ByteReader, bytes: number): AsyncGenerator<Uint8Array> {
  const buffers = [new Uint8Array(LARGE_BYTES), new Uint8Array(LARGE_BYTES)] as const;
  let pending = reader.readInto(buffers[0]);
  for (let left = bytes, turn = 0; left > 0; turn ^= 1) {
    const count = await pending;
    if (count === null) throw chunk("the body ends early");
    left -= count;
    if (left > 0) {
      pending = reader.readInto(buffers[turn ^ 1]!.subarray(0, Math.min(left, LARGE_BYTES)));
      pending.catch(() => {}); // it is waited for above, unless nobody wants more
    }
    yield buffers[turn]!.subarray(0, count);
  }
}

function chunkSize(text: string): number {
  if (!/^[0-9A-Fa-f]+$/.test(text)) throw chunk("the size of a chunk is no number, or has an extension");
  return Number.parseInt(text, 16);
}

/** What stands behind the last chunk is read and dropped. */
async function trailers(reader: ByteReader): Promise<void> {
  for (let left = TRAILER_BYTES;;) {
    const text = await line(reader, left);
    if (text === "") return;
    if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*$/.test(text)) {
      throw chunk("what follows the last chunk is no header");
    }
    left -= text.length;
  }
}

/** A line of at most so many characters, without its CR and LF. */
async function line(reader: ByteReader, most: number): Promise<string> {
  for (;;) {
    const bytes = reader.available;
    const end = bytes.indexOf(10);
    if (end >= 0) {
      if (end > most + 1 || bytes[end - 1] !== 13) throw chunk("a line of the body is too long or has no CR");
      const text = String.fromCharCode(...bytes.subarray(0, end - 1));
      reader.take(end + 1);
      return text;
    }
    if (bytes.length > most + 1) throw chunk("a line of the body is too long");
    if (!await reader.fill()) throw chunk("the body ends early");
  }
}

function chunk(message: string): Refusal {
  return new Refusal("http:body", message);
}
