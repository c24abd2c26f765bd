/** Parts of the messages of netlink(7) and rtnetlink(7). */

/** Bytes of `struct ifinfomsg`. */
export const INFO_BYTES = 16;

/** A length as netlink pads it. */
export function aligned(size: number): number {
  return (size + 3) & ~3;
}

/** `struct rtattr` behind each other, from `offset` on. */
export function attributesOf(
  body: Uint8Array<ArrayBuffer>,
  offset: number,
): [type: number, value: Uint8Array<ArrayBuffer>][] {
  const found: [number, Uint8Array<ArrayBuffer>][] = [];
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  for (let at = offset; at + 4 <= body.length;) {
    const size = view.getUint16(at, true);
    if (size < 4) break;
    found.push([view.getUint16(at + 2, true) & 0x3fff, body.slice(at + 4, at + size)]);
    at += aligned(size);
  }
  return found;
}

/** One attribute. */
export function attribute(type: number, value: Uint8Array): Uint8Array {
  const length = 4 + value.length;
  const bytes = new Uint8Array(aligned(length));
  // So many are made that a view of each would be most of the time.
  bytes[0] = length & 0xff;
  bytes[1] = length >> 8;
  bytes[2] = type & 0xff;
  bytes[3] = type >> 8;
  bytes.set(value, 4);
  return bytes;
}

/** `struct ifinfomsg`, with flags to set. */
export function info(device: number, flags = 0): Uint8Array {
  const bytes = new Uint8Array(INFO_BYTES);
  const view = new DataView(bytes.buffer);
  view.setInt32(4, device, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, flags, true);
  return bytes;
}

/** A number of 32 bits. */
export function int32(value: number): Uint8Array {
  return new Uint8Array(new Int32Array([value]).buffer);
}

/** A string with its NUL. */
export function text(value: string): Uint8Array {
  return new TextEncoder().encode(`${value}\0`);
}

/** All parts behind each other. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
