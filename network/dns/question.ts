import { Refusal } from "../proxy/refusal.ts";

/** Types of records that are known here. */
export const TYPE = { A: 1, AAAA: 28, SVCB: 64, HTTPS: 65 } as const;
/** Codes of answers. */
export const RCODE = { ok: 0, malformed: 1, failed: 2, noName: 3, refused: 5 } as const;
const [HEADER_BYTES, IN, OPT] = [12, 1, 41];
/** The most that a question may have: one name, and what EDNS adds. */
const QUESTION_BYTES = 1024;
const LEAST_UDP_BYTES = 512;
/** What fits into one packet whatever the path. */
const MOST_UDP_BYTES = 1232;

/** The one question of a message. */
export interface Question {
  readonly id: number;
  readonly recursionDesired: boolean;
  /** In lower case, without the dot at its end. */
  readonly name: string;
  readonly type: number;
  /** The most that an answer by UDP may have. */
  readonly udpBytes: number;
  /** The question's own bytes, to be repeated in the answer. */
  readonly bytes: Uint8Array;
}

/** The number that a message begins with, if it has one: even what is malformed is answered under it. */
export function idOf(bytes: Uint8Array): number | undefined {
  const isQuery = bytes.length >= HEADER_BYTES && (bytes[2]! & 0x80) === 0;
  return isQuery ? bytes[0]! << 8 | bytes[1]! : undefined;
}

/**
 * Reads a message that asks one question for one name, and has nothing else in it.
 *
 * @throws {Refusal} When it has: data can be carried out in whatever is not looked at.
 */
export function readQuestion(bytes: Uint8Array): Question {
  if (bytes.length < HEADER_BYTES || bytes.length > QUESTION_BYTES) {
    throw refuse("the message has no usual length");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const flags = view.getUint16(2);
  if ((flags & 0xfa0f) !== 0) throw refuse("the message is no plain query"); // QR, opcode, TC, rcode
  const counts = [4, 6, 8].map((at) => view.getUint16(at));
  const additional = view.getUint16(10);
  if (counts.join() !== "1,0,0" || additional > 1) throw refuse("the message has not exactly one question");
  const { name, end } = readName(bytes, HEADER_BYTES);
  if (end + 4 > bytes.length) throw refuse("the question is cut off");
  const [type, kind] = [view.getUint16(end), view.getUint16(end + 2)];
  if (kind !== IN) throw refuse("the question is not of the class IN");
  const rest = bytes.subarray(end + 4);
  return {
    id: view.getUint16(0),
    recursionDesired: (flags & 0x100) !== 0,
    name,
    type,
    udpBytes: additional === 1 ? ednsBytes(rest) : nothing(rest),
    bytes: bytes.slice(HEADER_BYTES, end + 4),
  };
}

/** A name without compression, of letters, digits, `-` and `_` only. */
function readName(bytes: Uint8Array, start: number): { name: string; end: number } {
  const labels: string[] = [];
  for (let at = start, length = 0;;) {
    const size = bytes[at];
    if (size === undefined) throw refuse("the name is cut off");
    if (size === 0) {
      if (labels.length === 0) throw refuse("the name is the root");
      return { name: labels.join("."), end: at + 1 };
    }
    length += 1 + size;
    if (size > 63 || length > 254) throw refuse("the name is too long or compressed");
    const label = String.fromCharCode(...bytes.subarray(at + 1, at + 1 + size)).toLowerCase();
    if (!/^[a-z0-9_-]+$/.test(label) || label.length !== size) {
      throw refuse("the name has other characters than names have");
    }
    labels.push(label);
    at += 1 + size;
  }
}

/** What OPT says of the size of answers; its options are dropped. */
function ednsBytes(rest: Uint8Array): number {
  const view = new DataView(rest.buffer, rest.byteOffset, rest.length);
  if (rest.length < 11 || rest[0] !== 0 || view.getUint16(1) !== OPT || rest[6] !== 0) {
    throw refuse("what is added to the question is not EDNS");
  }
  if (view.getUint16(9) !== rest.length - 11) throw refuse("EDNS has another length than it says");
  return Math.min(Math.max(view.getUint16(3), LEAST_UDP_BYTES), MOST_UDP_BYTES);
}

function nothing(rest: Uint8Array): number {
  if (rest.length > 0) throw refuse("something follows the question");
  return LEAST_UDP_BYTES;
}

function refuse(message: string): Refusal {
  return new Refusal("builtin:dns-message", message);
}
