import { Buffer } from "node:buffer";
import { addressBytes, addressText } from "../../ffi/address.ts";
import { Refusal } from "../proxy/refusal.ts";
import { type Question, RCODE, TYPE } from "./question.ts";

/** What is answered: addresses, or why there are none. */
export interface Answer {
  readonly rcode: number;
  readonly addresses: readonly string[];
  readonly ttlS: number;
}

/** Answers to a sandbox never tell more addresses than this. */
export const MOST_ADDRESSES = 32;
const CHAIN = 8;
const RECORDS = 256;

/** The part of dns-packet that is used. */
interface DnsPacket {
  encode(packet: unknown): Uint8Array<ArrayBuffer>;
  decode(bytes: Uint8Array): DecodedPacket;
}

interface DecodedPacket {
  readonly id: number;
  readonly type: string;
  readonly rcode: string;
  readonly flag_tc: boolean;
  readonly opcode: string;
  readonly questions: readonly { readonly name: string; readonly type: string; readonly class: string }[];
  readonly answers: readonly DecodedRecord[];
}

interface DecodedRecord {
  readonly name: string;
  readonly type: string;
  readonly class: string;
  readonly ttl: number;
  readonly data: unknown;
}

let packets: DnsPacket | undefined;

/** Loads the library that reads and writes messages; call it once before the others. */
export async function loadPackets(): Promise<void> {
  packets ??= (await import("dns-packet")).default as unknown as DnsPacket;
}

/** The bytes of a question for an upstream server: one name, nothing else. */
export function queryBytes(id: number, name: string, type: number): Uint8Array<ArrayBuffer> {
  const question = { name, type: type === TYPE.AAAA ? "AAAA" : "A", class: "IN" };
  return Uint8Array.from(packets!.encode({ type: "query", id, flags: 0x100, questions: [question] }));
}

/**
 * Reads what an upstream server answered: addresses of the name that was asked for, at the end of its aliases.
 *
 * @returns Nothing if it answers something else; `"cut"` if all of it comes by TCP only.
 * @throws {Refusal} When it is malformed.
 */
export function readAnswer(
  bytes: Uint8Array,
  asked: { id: number; name: string; type: number },
): Answer | "cut" | undefined {
  const packet = decoded(bytes);
  const [question, second] = packet.questions;
  const type = asked.type === TYPE.AAAA ? "AAAA" : "A";
  const isOurs = packet.id === asked.id && packet.type === "response" && packet.opcode === "QUERY" &&
    question !== undefined && second === undefined && lower(question.name) === asked.name &&
    question.type === type && question.class === "IN";
  if (!isOurs) return undefined;
  if (packet.flag_tc) return "cut";
  if (packet.rcode === "NXDOMAIN") return { rcode: RCODE.noName, addresses: [], ttlS: 0 };
  if (packet.rcode !== "NOERROR") return { rcode: RCODE.failed, addresses: [], ttlS: 0 };
  return {
    rcode: RCODE.ok,
    ...addressesOf(packet.answers.filter((record) => record.class === "IN"), asked.name, type),
  };
}

/** Follows the aliases from the name that was asked for; what does not belong to it is left out. */
function addressesOf(
  records: readonly DecodedRecord[],
  asked: string,
  type: string,
): { addresses: string[]; ttlS: number } {
  let name = asked;
  let ttlS = Number.MAX_SAFE_INTEGER;
  for (let step = 0; step <= CHAIN; step++) {
    const own = records.filter((record) => lower(record.name) === name);
    const found = own.filter((record) => record.type === type);
    const alias = own.find((record) => record.type === "CNAME");
    for (const { ttl } of found.length > 0 ? found : alias ? [alias] : []) ttlS = Math.min(ttlS, ttl >>> 0);
    if (found.length > 0) {
      const texts = found.map(({ data }) => addressBytes(String(data))).filter((each) => each !== undefined);
      const addresses = texts.filter(({ length }) => length === (type === "A" ? 4 : 16)).map(addressText);
      return { addresses: [...new Set(addresses)].slice(0, MOST_ADDRESSES), ttlS };
    }
    if (alias === undefined) break;
    name = lower(String(alias.data));
  }
  return { addresses: [], ttlS: 0 };
}

function decoded(bytes: Uint8Array): DecodedPacket {
  const counts = [4, 6, 8, 10].map((at) => (bytes[at] ?? 0) << 8 | (bytes[at + 1] ?? 0));
  if (bytes.length < 12 || counts.some((count) => count > RECORDS)) {
    throw refuse("has too many records, or no header");
  }
  try {
    return packets!.decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  } catch {
    throw refuse("cannot be read");
  }
}

function lower(name: string): string {
  return name.toLowerCase();
}

function refuse(what: string): Refusal {
  return new Refusal("builtin:dns-answer", `the answer of the name server ${what}`);
}

/**
 * The bytes of an answer, with the question's own bytes repeated.
 *
 * @param most Bytes that it may have; what does not fit is left out, and the answer says that it is cut.
 */
export function answerBytes(
  question: Question,
  { rcode, addresses, ttlS }: Answer,
  most: number,
): Uint8Array<ArrayBuffer> {
  const data = question.type === TYPE.AAAA ? 16 : 4;
  const size = 12 + question.bytes.length;
  const told = addresses.slice(0, MOST_ADDRESSES);
  const fitting = told.slice(0, Math.max(0, Math.floor((most - size) / (12 + data))));
  const bytes = new Uint8Array(size + fitting.length * (12 + data));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, question.id);
  const cut = fitting.length < told.length ? 0x200 : 0;
  view.setUint16(2, 0x8080 | cut | (question.recursionDesired ? 0x100 : 0) | rcode);
  view.setUint16(4, 1);
  view.setUint16(6, fitting.length);
  bytes.set(question.bytes, 12);
  for (const [index, address] of fitting.entries()) {
    const at = size + index * (12 + data);
    view.setUint16(at, 0xc00c); // the name of the question
    view.setUint16(at + 2, question.type);
    view.setUint16(at + 4, 1);
    view.setUint32(at + 6, ttlS);
    view.setUint16(at + 10, data);
    bytes.set(addressBytes(address)!, at + 12);
  }
  return bytes;
}
