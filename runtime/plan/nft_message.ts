/** Messages that change nftables, as nfnetlink takes them (linux/netfilter/nf_tables.h). */

const [HEADER, FAMILY_BYTES] = [16, 4];
const [BEGIN, END, SUBSYSTEM, NESTED] = [0x10, 0x11, 10, 0x8000];
const [REQUEST, CREATE_APPEND] = [1, 0xc00];

/** One step of a rule. */
export interface Expression {
  readonly name: string;
  readonly data: readonly Uint8Array[];
}

/** All of these or none. */
export function batch(messages: readonly Uint8Array[]): Uint8Array {
  const edge = (type: number): Uint8Array => message(type, REQUEST, [0, 0, 0, SUBSYSTEM], []);
  return joined([edge(BEGIN), ...messages, edge(END)]);
}

/** One request to make something. */
export function request(what: number, family: number, ...attributes: readonly Uint8Array[]): Uint8Array {
  return message(SUBSYSTEM << 8 | what, REQUEST | CREATE_APPEND, [family, 0, 0, 0], attributes);
}

/** An attribute; its value is padded to whole words. */
export function attribute(type: number, value: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array((4 + value.length + 3) & ~3);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 4 + value.length, true);
  view.setUint16(2, type, true);
  bytes.set(value, 4);
  return bytes;
}

/** An attribute of attributes. */
export function nested(type: number, ...parts: readonly Uint8Array[]): Uint8Array {
  return attribute(type | NESTED, joined(parts));
}

/** A number of 32 bits, in the byte order of networks. */
export function number(value: number): number[] {
  return [24, 16, 8, 0].map((shift) => value >>> shift & 0xff);
}

/** A string with its NUL. */
export function string(value: string): Uint8Array {
  return new TextEncoder().encode(`${value}\0`);
}

function message(
  type: number,
  flags: number,
  family: readonly number[],
  attributes: readonly Uint8Array[],
): Uint8Array {
  const body = joined(attributes);
  const bytes = new Uint8Array(HEADER + FAMILY_BYTES + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  bytes.set(family, HEADER);
  bytes.set(body, HEADER + FAMILY_BYTES);
  return bytes;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
