import { Refusal } from "../refusal.ts";

/** The most bytes that the first message of TLS may have. */
export const HELLO_BYTES = 65536;
const [HANDSHAKE, CLIENT_HELLO] = [22, 1];
const EXTENSION = { serverName: 0, alpn: 16, ech: 0xfe0d, oldEsni: 0xffce } as const;

/** What the first message of TLS says in clear. */
export interface ClientHello {
  /** The one name that it is for, in lower case. */
  readonly serverName: string;
  readonly protocols: readonly string[];
}

/**
 * Reads the first message of TLS.
 *
 * @returns Nothing if more bytes are needed.
 * @throws {Refusal} When it names no server or hides it, or is not TLS.
 */
export function clientHello(bytes: Uint8Array): ClientHello | undefined {
  const message = handshake(bytes);
  return message && helloOf(new Cursor(message));
}

/** The handshake message, put together from its records. */
function handshake(bytes: Uint8Array): Uint8Array | undefined {
  const parts: Uint8Array[] = [];
  let have = 0;
  for (let at = 0; at + 5 <= bytes.length;) {
    if (bytes[at] !== HANDSHAKE || bytes[at + 1] !== 3 || bytes[at + 2]! > 4) {
      throw refuse("record", "a record is no handshake");
    }
    const length = bytes[at + 3]! << 8 | bytes[at + 4]!;
    if (length === 0 || length > 16384) throw refuse("record", "a record has an impossible length");
    const part = bytes.subarray(at + 5, at + 5 + length);
    parts.push(part);
    have += part.length;
    at += 5 + length;
    const head = have >= 4 ? joined(parts, 4) : undefined;
    if (head === undefined) continue;
    if (head[0] !== CLIENT_HELLO) throw refuse("hello", "the first message is not ClientHello");
    const size = 4 + (head[1]! << 16 | head[2]! << 8 | head[3]!);
    if (size > HELLO_BYTES) throw refuse("hello-bytes", "ClientHello is too long");
    if (have === size) return joined(parts, size).subarray(4);
    if (have > size) throw refuse("hello", "something follows ClientHello in its record");
  }
  if (bytes.length > HELLO_BYTES) throw refuse("hello-bytes", "ClientHello is too long");
  return undefined;
}

function helloOf(cursor: Cursor): ClientHello {
  cursor.take(2 + 32); // version and random
  cursor.vector(1, 0, 32); // session
  cursor.vector(2, 2, 65534); // ciphers
  cursor.vector(1, 1, 255); // compressions
  const extensions = cursor.vector(2, 0, 65535);
  cursor.end();
  const seen = new Set<number>();
  let [serverName, protocols]: [string | undefined, string[]] = [undefined, []];
  while (!extensions.isEmpty) {
    const type = extensions.number(2);
    const data = extensions.vector(2, 0, 65535);
    if (seen.has(type)) throw refuse("extension", "an extension stands there twice");
    seen.add(type);
    if (type === EXTENSION.ech || type === EXTENSION.oldEsni) {
      throw refuse("ech", "the name of the server is hidden (ECH)");
    }
    if (type === EXTENSION.serverName) serverName = nameOf(data);
    if (type === EXTENSION.alpn) protocols = protocolsOf(data);
  }
  if (serverName === undefined) throw refuse("no-sni", "TLS names no server (SNI)");
  return { serverName, protocols };
}

/** Exactly one name of the kind host_name. */
function nameOf(data: Cursor): string {
  const list = data.vector(2, 1, 65535);
  data.end();
  if (list.number(1) !== 0) throw refuse("sni", "the name of the server is of an unknown kind");
  const bytes = list.vector(2, 1, 255);
  list.end();
  const name = bytes.rest().toLowerCase();
  if (!/^[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?$/.test(name) || name.includes("..")) {
    throw refuse("sni", "the name of the server is no name");
  }
  return name;
}

function protocolsOf(data: Cursor): string[] {
  const list = data.vector(2, 2, 65535);
  data.end();
  const found: string[] = [];
  while (!list.isEmpty) found.push(list.vector(1, 1, 255).rest());
  return found;
}

/** Reads numbers and vectors as TLS writes them. */
class Cursor {
  #at = 0;

  constructor(readonly bytes: Uint8Array) {}

  get isEmpty(): boolean {
    return this.#at === this.bytes.length;
  }

  take(count: number): Uint8Array {
    if (this.#at + count > this.bytes.length) throw refuse("hello", "ClientHello is shorter than it says");
    this.#at += count;
    return this.bytes.subarray(this.#at - count, this.#at);
  }

  number(bytes: number): number {
    return this.take(bytes).reduce((sum, byte) => sum * 256 + byte, 0);
  }

  vector(lengthBytes: number, least: number, most: number): Cursor {
    const length = this.number(lengthBytes);
    if (length < least || length > most) throw refuse("hello", "a length in ClientHello is impossible");
    return new Cursor(this.take(length));
  }

  rest(): string {
    return String.fromCharCode(...this.take(this.bytes.length - this.#at));
  }

  end(): void {
    if (!this.isEmpty) throw refuse("hello", "something in ClientHello is longer than it says");
  }
}

function joined(parts: readonly Uint8Array[], count: number): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes.subarray(0, count);
}

function refuse(rule: string, message: string): Refusal {
  return new Refusal(`tls:${rule}`, message, 403);
}
