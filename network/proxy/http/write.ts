import type { Framing, Header } from "./head.ts";

/** Headers that are about one connection, or that the proxy writes itself. */
export const OWN: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authorization",
  "proxy-authenticate",
  "te",
  "trailer",
  "transfer-encoding",
  "content-length",
  "upgrade",
  "http2-settings",
  "host",
]);

/** What a message is made of, before it is written. */
export interface Message {
  /** The request line or status line, without its end. */
  readonly line: string;
  /** Written as `Host`, by requests. */
  readonly host?: string;
  readonly headers: readonly Header[];
  readonly framing: Framing;
  /** Written as `Connection`. */
  readonly connection?: string;
  /** Written as `Upgrade`, together with that `Connection`. */
  readonly upgrade?: string | undefined;
  /** A length that is told though no body follows, as in answers to HEAD. */
  readonly toldLength?: string | undefined;
}

/** The bytes of a head in which nothing is left to be read in another way. */
export function headBytes(
  { line, host, headers, framing, connection, upgrade, toldLength }: Message,
): Uint8Array<ArrayBuffer> {
  let text = `${line}\r\n`;
  if (host !== undefined) text += `Host: ${host}\r\n`;
  for (const [name, value] of headers) if (!OWN.has(name)) text += `${name}: ${value}\r\n`;
  if (framing.kind === "length") text += `Content-Length: ${framing.bytes}\r\n`;
  else if (framing.kind === "chunked") text += "Transfer-Encoding: chunked\r\n";
  else if (toldLength !== undefined) text += `Content-Length: ${toldLength}\r\n`;
  if (upgrade !== undefined) text += `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`;
  else if (connection !== undefined) text += `Connection: ${connection}\r\n`;
  return latin1(`${text}\r\n`);
}

/** The start of a chunk of so many bytes; of none, the end of the body. */
export function chunkStart(bytes: number): Uint8Array<ArrayBuffer> {
  return latin1(bytes === 0 ? "0\r\n\r\n" : `${bytes.toString(16)}\r\n`);
}

/** The end of a chunk that has bytes. */
export const CHUNK_END: Uint8Array<ArrayBuffer> = latin1("\r\n");

/** One byte a character. */
export function latin1(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/** A head and the first of a body go in one packet up to here. */
const TOGETHER_BYTES = 16384;

/** Bytes of a body as one, where they are few: what is written together arrives together. */
export function together(head: Uint8Array, first: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  if (head.length + first.length > TOGETHER_BYTES) return undefined;
  const bytes = new Uint8Array(head.length + first.length);
  bytes.set(head);
  bytes.set(first, head.length);
  return bytes;
}
