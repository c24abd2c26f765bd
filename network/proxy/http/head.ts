import { Refusal } from "../refusal.ts";

/** The most that the head of a message may be: bytes in all, and lines of headers. */
export const HEAD_BYTES = 65536;
const HEADERS = 128;
const METHOD_LENGTH = 32;
const TARGET_LENGTH = 16384;
/** `Content-Length` up to a petabyte: exact as a number. */
const LENGTH_DIGITS = 15;
const [HTAB, LF, CR, SPACE, COLON, DELETE] = [9, 10, 13, 32, 58, 127];

/** A header as it came, its name in lower case. */
export type Header = readonly [name: string, value: string];

/** How much body follows. */
export type Framing =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly bytes: number }
  | { readonly kind: "chunked" }
  | { readonly kind: "until close" };

/** The only way to read the head of a request. */
export interface RequestHead {
  readonly method: string;
  /** In origin form, or `*`. */
  readonly target: string;
  /** The target without its query. */
  readonly path: string;
  readonly minor: 0 | 1;
  /** As in `Host`, in lower case, without the port. */
  readonly host: string;
  /** The port that `Host` names. */
  readonly port: number | undefined;
  readonly headers: readonly Header[];
  readonly framing: Framing;
  /** Whether another request may follow. */
  readonly keepAlive: boolean;
  /** What `Upgrade` asks for, in lower case. */
  readonly upgrade: string | undefined;
}

/** The only way to read the head of a response. */
export interface ResponseHead {
  readonly minor: 0 | 1;
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly Header[];
  readonly framing: Framing;
  readonly keepAlive: boolean;
}

/**
 * Where the head at the start of `bytes` ends, its empty line included; -1 if more bytes are needed.
 *
 * @param from How many bytes were looked at before.
 * @throws {Refusal} When a line ends without a carriage return: it would be waited for in vain.
 */
export function headEnd(bytes: Uint8Array, from = 0): number {
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at - 1] !== CR) throw refuse("bare-lf", "a line ends without a carriage return");
    if (at === 1 || (bytes[at - 2] === LF && bytes[at - 3] === CR)) return at + 1;
  }
  if (bytes.length > HEAD_BYTES) {
    throw refuse("head-bytes", `the head has more than ${HEAD_BYTES} bytes`, 431);
  }
  return -1;
}

/**
 * Reads the head of a request.
 *
 * @param bytes All of it, its empty line included.
 * @throws {Refusal} When two servers could read it in two ways, or it asks for a tunnel.
 */
export function requestHead(bytes: Uint8Array): RequestHead {
  const [line, ...rest] = lines(bytes);
  const parts = line!.split(" ");
  if (parts.length !== 3) throw refuse("request-line", "the request line is not METHOD TARGET VERSION");
  const [method, target, version] = parts as [string, string, string];
  if (!isToken(method) || method.length > METHOD_LENGTH) throw refuse("method", "the method is no token");
  if (version !== "HTTP/1.1" && version !== "HTTP/1.0") {
    throw refuse("version", "the version is neither HTTP/1.1 nor HTTP/1.0", 505);
  }
  if (method === "CONNECT") throw refuse("connect", "CONNECT asks for a tunnel", 403);
  const minor = version === "HTTP/1.1" ? 1 : 0;
  const headers = headersOf(rest);
  const { host, port, text } = hostOf(headers);
  const origin = originForm(method, target, text);
  const options = connectionOptions(headers);
  const upgrade = single(headers, "upgrade")?.toLowerCase();
  return {
    method,
    target: origin,
    path: origin.split("?", 1)[0]!,
    minor,
    host,
    port,
    headers,
    framing: requestFraming(headers, minor),
    keepAlive: minor === 1 && !options.includes("close"),
    upgrade: options.includes("upgrade") ? upgrade : undefined,
  };
}

/**
 * Reads the head of a response to a request with this method.
 *
 * @throws {Refusal} When it could be read in two ways.
 */
export function responseHead(bytes: Uint8Array, method: string): ResponseHead {
  const [line, ...rest] = lines(bytes);
  const [, minorText, digits, reason = ""] = /^HTTP\/1\.([01]) ([1-9][0-9]{2})(?: (.*))?$/.exec(line!) ?? [];
  if (digits === undefined) throw refuse("status-line", "the server's status line is not HTTP/1.1", 502);
  const headers = headersOf(rest);
  const minor = minorText === "1" ? 1 : 0;
  const status = Number(digits);
  const options = single(headers, "connection", true)?.toLowerCase().split(",").map((one) => one.trim()) ??
    [];
  const framing = responseFraming(headers, { method, status, minor });
  const stays = minor === 1 ? !options.includes("close") : options.includes("keep-alive");
  return { minor, status, reason, headers, framing, keepAlive: stays && framing.kind !== "until close" };
}

/** The value of a header that may stand there once; all values with `,` in between where it `mayRepeat`. */
export function single(headers: readonly Header[], name: string, mayRepeat = false): string | undefined {
  const values = headers.filter(([each]) => each === name).map(([, value]) => value);
  if (values.length > 1 && !mayRepeat) throw refuse("repeated", `${name} stands there more than once`);
  return values.length === 0 ? undefined : values.join(",");
}

/** Whether `text` is a token of HTTP. */
export function isToken(text: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text);
}

/** The lines of a head without its empty one; every character that ends or hides one elsewhere is refused. */
function lines(bytes: Uint8Array): string[] {
  if (bytes.length > HEAD_BYTES) {
    throw refuse("head-bytes", `the head has more than ${HEAD_BYTES} bytes`, 431);
  }
  const found: string[] = [];
  let start = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === LF) throw refuse("bare-lf", "a line ends without a carriage return");
    if (byte === CR) {
      if (bytes[at + 1] !== LF) throw refuse("bare-cr", "a carriage return is not followed by a line feed");
      found.push(LATIN1.decode(bytes.subarray(start, at)));
      start = ++at + 1;
    } else if (byte < SPACE && byte !== HTAB || byte === DELETE) {
      throw refuse("control", "there is a control character in the head");
    }
  }
  if (found.pop() !== "" || start !== bytes.length || found.length === 0) {
    throw refuse("head", "the head is not lines and an empty one");
  }
  if (found.length - 1 > HEADERS) throw refuse("headers", `there are more than ${HEADERS} headers`, 431);
  return found;
}

/** `windows-1252`, which Deno calls latin1, has other characters at 0x80–0x9f: this one is exact. */
const LATIN1 = {
  decode(bytes: Uint8Array): string {
    let text = "";
    for (let at = 0; at < bytes.length; at += 8192) {
      text += String.fromCharCode(...bytes.subarray(at, at + 8192));
    }
    return text;
  },
};

function headersOf(rest: readonly string[]): Header[] {
  return rest.map((line) => {
    if (line.startsWith(" ") || line.startsWith("\t")) {
      throw refuse("folded", "a header goes on in a second line");
    }
    const colon = line.indexOf(String.fromCharCode(COLON));
    const name = line.slice(0, Math.max(colon, 0));
    if (!isToken(name)) throw refuse("header-name", "the name of a header is no token");
    const lower = name.toLowerCase();
    // Some servers take one for the other.
    if (/_/.test(lower) && FRAMING.has(lower.replaceAll("_", "-"))) {
      throw refuse("header-name", `a header is named ${lower}`);
    }
    return [lower, trimmed(line.slice(colon + 1))];
  });
}

const FRAMING = new Set(["host", "content-length", "transfer-encoding", "connection", "upgrade"]);

function trimmed(value: string): string {
  return value.replace(/^[ \t]+/, "").replace(/[ \t]+$/, "");
}

/** What `Host` says: exactly one, a name or an address, with or without a port. */
function hostOf(headers: readonly Header[]): { host: string; port: number | undefined; text: string } {
  const hosts = headers.filter(([name]) => name === "host");
  if (hosts.length !== 1) {
    throw refuse("host", hosts.length === 0 ? "there is no Host" : "there is more than one Host");
  }
  const text = hosts[0]![1].toLowerCase();
  const [, host, digits] =
    /^([a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?|\[[0-9a-f:.]{2,45}\])(?::([0-9]{1,5}))?$/
      .exec(text) ?? [];
  if (host === undefined || host.includes("..")) {
    throw refuse("host", "Host is neither a name nor an address");
  }
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && (port < 1 || port > 65535 || String(port) !== digits)) {
    throw refuse("host", "the port in Host is none");
  }
  return { host, port, text };
}

/** The target in origin form: in absolute form it must say what `Host` says. */
function originForm(method: string, target: string, host: string): string {
  if (target.length > TARGET_LENGTH) throw refuse("target-bytes", "the target is too long", 414);
  if (!/^[\x21-\x7e]+$/.test(target) || /[#\\]/.test(target)) {
    throw refuse("target", "there is a character in the target that no URL has");
  }
  if (target === "*" && method === "OPTIONS") return target;
  if (target.startsWith("/")) return target;
  const [, authority, path = "/"] = /^https?:\/\/([^/?]+)(\/.*)?$/i.exec(target) ?? [];
  if (authority === undefined) throw refuse("target", "the target is no path");
  if (authority.toLowerCase() !== host) throw refuse("absolute-form", "the target and Host differ");
  return path;
}

/** What `Connection` may say of a request: with other names it would take headers out of what was decided over. */
function connectionOptions(headers: readonly Header[]): string[] {
  const options = (single(headers, "connection", true) ?? "").toLowerCase().split(",").map(trimmed)
    .filter((one) => one !== "");
  const known = ["close", "keep-alive", "upgrade", "te", "http2-settings"];
  const odd = options.find((one) => !known.includes(one));
  if (odd !== undefined) throw refuse("connection", "Connection names a header that would be taken out");
  return options;
}

function requestFraming(headers: readonly Header[], minor: 0 | 1): Framing {
  const { length, isChunked } = framingHeaders(headers, 400);
  if (!isChunked) return length === undefined ? { kind: "none" } : { kind: "length", bytes: length };
  if (minor === 0) throw refuse("framing", "HTTP/1.0 has no Transfer-Encoding");
  return { kind: "chunked" };
}

function responseFraming(
  headers: readonly Header[],
  { method, status, minor }: { method: string; status: number; minor: 0 | 1 },
): Framing {
  const { length, isChunked } = framingHeaders(headers, 502);
  if (method === "HEAD" || status < 200 || status === 204 || status === 304) return { kind: "none" };
  if (isChunked) {
    if (minor === 0) throw refuse("framing", "HTTP/1.0 has no Transfer-Encoding", 502);
    return { kind: "chunked" };
  }
  return length === undefined ? { kind: "until close" } : { kind: "length", bytes: length };
}

/** One `Content-Length` of digits, or one `Transfer-Encoding: chunked`, or neither. */
function framingHeaders(
  headers: readonly Header[],
  status: number,
): { length: number | undefined; isChunked: boolean } {
  const lengths = headers.filter(([name]) => name === "content-length").map(([, value]) => value);
  const codings = headers.filter(([name]) => name === "transfer-encoding").map(([, value]) => value);
  if (lengths.length + codings.length > 1) {
    throw refuse("framing", "the length of the body is given more than once", status);
  }
  if (codings.length === 1 && codings[0]!.toLowerCase() !== "chunked") {
    throw refuse("framing", "Transfer-Encoding is not chunked", status === 400 ? 501 : status);
  }
  const [length] = lengths;
  if (length !== undefined && !(/^[0-9]+$/.test(length) && length.length <= LENGTH_DIGITS)) {
    throw refuse("framing", "Content-Length is no number", status);
  }
  return { length: length === undefined ? undefined : Number(length), isChunked: codings.length === 1 };
}

function refuse(rule: string, message: string, status = 400): Refusal {
  return new Refusal(`http:${rule}`, message, status);
}
