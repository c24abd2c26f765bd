/** Messages of protocol buffers, field by field: as much as CRIU's images take. */

/** A field: its number, and a number or the bytes of a text or message. */
export interface Field {
  readonly number: number;
  readonly value: bigint | Uint8Array<ArrayBuffer>;
  /** What a number takes: as many bytes as it needs, or so many. */
  readonly width?: 4 | 8;
}

const [VARINT, FIXED64, LENGTH, FIXED32] = [0, 1, 2, 5];

/** The fields of a message, in their order. @throws {Error} if it is none. */
export function readFields(message: Uint8Array<ArrayBuffer>): Field[] {
  const found: Field[] = [];
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = message[at++];
      if (byte === undefined) break;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw broken("it was cut off");
  };
  const skip = (count: number): number => {
    if (at + count > message.length) throw broken("it was cut off");
    at += count;
    return at - count;
  };
  while (at < message.length) {
    const key = varint();
    const number = Number(key >> 3n);
    switch (Number(key & 7n)) {
      case VARINT:
        found.push({ number, value: varint() });
        break;
      case FIXED64:
        found.push({ number, value: view.getBigUint64(skip(8), true), width: 8 });
        break;
      case FIXED32:
        found.push({ number, value: BigInt(view.getUint32(skip(4), true)), width: 4 });
        break;
      case LENGTH: {
        const size = Number(varint());
        const start = skip(size);
        found.push({ number, value: message.slice(start, start + size) });
        break;
      }
      default:
        throw broken(`it has a field of type ${key & 7n}`);
    }
  }
  return found;
}

/** A message of these fields. */
export function writeFields(fields: readonly Field[]): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  const varint = (value: bigint): void => {
    let rest = value;
    for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
    bytes.push(Number(rest));
  };
  for (const { number, value, width } of fields) {
    const key = BigInt(number) << 3n;
    if (typeof value !== "bigint") {
      varint(key | BigInt(LENGTH));
      varint(BigInt(value.length));
      for (const byte of value) bytes.push(byte);
    } else if (width === undefined) {
      varint(key);
      varint(value);
    } else {
      varint(key | BigInt(width === 8 ? FIXED64 : FIXED32));
      for (let index = 0n; index < BigInt(width); index++) {
        bytes.push(Number((value >> (8n * index)) & 0xffn));
      }
    }
  }
  return new Uint8Array(bytes);
}

/** An image of CRIU: two magic numbers and messages, each behind its length. */
export interface CriuImage {
  readonly magic: Uint8Array<ArrayBuffer>;
  readonly messages: readonly Uint8Array<ArrayBuffer>[];
}

const MAGIC_BYTES = 8;

/** Reads an image. @throws {Error} if it is none. */
export function readImage(bytes: Uint8Array<ArrayBuffer>): CriuImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: Uint8Array<ArrayBuffer>[] = [];
  for (let at = MAGIC_BYTES; at < bytes.length;) {
    if (at + 4 > bytes.length) throw broken("it was cut off");
    const size = view.getUint32(at, true);
    at += 4;
    if (at + size > bytes.length) throw broken("it was cut off");
    messages.push(bytes.slice(at, at + size));
    at += size;
  }
  return { magic: bytes.slice(0, MAGIC_BYTES), messages };
}

/** The bytes of an image. */
export function writeImage({ magic, messages }: CriuImage): Uint8Array<ArrayBuffer> {
  const size = messages.reduce((sum, { length }) => sum + 4 + length, magic.length);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  bytes.set(magic);
  let at = magic.length;
  for (const message of messages) {
    view.setUint32(at, message.length, true);
    bytes.set(message, at + 4);
    at += 4 + message.length;
  }
  return bytes;
}

function broken(why: string): Error {
  return new Error(`Cannot read an image of CRIU: ${why}`);
}
