import { Buffer } from "node:buffer";
import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import { Refusal } from "../refusal.ts";
import type { SandboxTraffic } from "../sandbox.ts";
import { Exchanger } from "./exchange.ts";
import { type Framing, type Header, requestHead, type ResponseHead } from "./head.ts";
import type { Place, Request, Responder } from "./request.ts";
import { add, type Fields, noFields, SharedUpstream } from "./upstream2.ts";
import { latin1 } from "./write.ts";

/** Requests at once on one connection. */
const STREAMS = 100;
const HEADER_BYTES = 65536;
/** What a message of HTTP/2 must not have. */
const ONLY_1 = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
  "te",
  "http2-settings",
]);

/** Serves a connection on which HTTP/2 is spoken, to its end. Servers are spoken to in HTTP/2 if they offer it in TLS. */
export async function serveHttp2(
  traffic: SandboxTraffic,
  { node, place }: { readonly node: Duplex; readonly place: Place },
): Promise<void> {
  const { performServerHandshake } = await import("node:http2") as unknown as {
    performServerHandshake(stream: Duplex, options: unknown): ServerHttp2Session;
  };
  const session = performServerHandshake(node, {
    settings: {
      maxConcurrentStreams: STREAMS,
      maxHeaderListSize: HEADER_BYTES,
      enablePush: false,
      enableConnectProtocol: false,
    },
    maxSessionMemory: 4,
  });
  const { address, port, tlsName } = place;
  using shared = tlsName === undefined
    ? undefined
    : new SharedUpstream({ address, port, tlsName }, place.ended);
  session.on(
    "stream",
    (stream: ServerHttp2Stream, headers: Record<string, unknown>, flags: number, raw: unknown) => {
      place.touch();
      stream.on("error", () => {});
      const isEmpty = (flags & 1) !== 0;
      serveStream(traffic, { stream, pairs: pairsOf(headers, raw), isEmpty, place, shared }).catch(() =>
        stream.destroy()
      );
    },
  );
  await new Promise<void>((resolve) => {
    session.on("error", () => session.destroy());
    session.on("close", resolve);
    node.on("close", resolve);
  });
}

async function serveStream(
  traffic: SandboxTraffic,
  { stream, pairs, isEmpty, place, shared }: {
    readonly shared: SharedUpstream | undefined;
    readonly stream: ServerHttp2Stream;
    readonly pairs: readonly Header[];
    readonly isEmpty: boolean;
    readonly place: Place;
  },
): Promise<void> {
  const ending = new AbortController();
  stream.on("close", () => ending.abort());
  // With HTTP/1.1 each request has a connection of its own to the server, which cannot mix them.
  const exchanger = new Exchanger(traffic, { ...place, ended: ending.signal }, shared);
  const responder = new Responder2(stream);
  try {
    let request: Request;
    try {
      request = requestOf(pairs, isEmpty, stream);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { address, port, scheme } = place;
      const what = { address, port, protocol: scheme, status: error.status };
      traffic.record({ kind: "request", verdict: "deny", rule: error.rule, reason: error.message, ...what });
      throw error;
    }
    // What is left of a request that was answered early is not wanted.
    if (!await exchanger.exchange(request, responder)) stream.close(0);
  } catch (error) {
    if (!(error instanceof Refusal) || responder.hasBegun) return stream.close(2);
    stream.respond({ ":status": error.status, "content-type": "text/plain; charset=utf-8" });
    stream.end(`Refused by ${error.rule}: ${error.message}\n`);
  } finally {
    exchanger.close();
  }
}

/** Headers in the order they came, where the library tells it. */
function pairsOf(headers: Record<string, unknown>, raw: unknown): Header[] {
  if (Array.isArray(raw) && raw.length > 0 && raw.length % 2 === 0) {
    return Array.from(
      { length: raw.length / 2 },
      (_, index): Header => [String(raw[2 * index]), String(raw[2 * index + 1])],
    );
  }
  return Object.entries(headers).flatMap(([name, value]): Header[] =>
    (Array.isArray(value) ? value : [value]).map((each): Header => [name, String(each)])
  );
}

/** The request in the one way there is to read it: by the rules of HTTP/1, as it is forwarded so. */
export function requestOf(
  pairs: readonly Header[],
  isEmpty: boolean,
  stream: AsyncIterable<Uint8Array>,
): Request {
  const pseudo = new Map<string, string>();
  const headers: Header[] = [];
  for (const [name, value] of pairs) {
    if (name.startsWith(":")) {
      if (pseudo.has(name) || headers.length > 0) throw refuse("a pseudo header stands there twice or late");
      pseudo.set(name, value);
    } else if (ONLY_1.has(name) && !(name === "te" && value === "trailers")) {
      throw refuse(`HTTP/2 has no ${name}`);
    } else if (name !== name.toLowerCase()) {
      throw refuse("a header is not in lower case");
    } else if (name !== "host" && name !== "te") headers.push([name, value]);
    else if (name === "host" && value !== pseudo.get(":authority")) {
      throw refuse("Host and :authority differ");
    }
  }
  const [method, target, authority] = [":method", ":path", ":authority"].map((name) =>
    pseudo.get(name) ?? ""
  );
  const takesTrailers = pairs.some(([name]) => name === "te");
  const cookies = headers.filter(([name]) => name === "cookie").map(([, value]) => value);
  const rest = headers.filter(([name]) => name !== "cookie");
  if (cookies.length > 0) rest.push(["cookie", cookies.join("; ")]);
  if (/[^\x21-\x7e]/.test(`${method}${target}${authority}`) || !target!.startsWith("/") && target !== "*") {
    throw refuse("a pseudo header has an impossible value");
  }
  const lines = rest.map(([name, value]) => {
    if (/[\r\n\0]/.test(value) || /[^\0-\xff]/.test(value)) throw refuse("a header has a control character");
    return `${name}: ${value}\r\n`;
  });
  const head = requestHead(
    latin1(`${method} ${target} HTTP/1.1\r\nHost: ${authority}\r\n${lines.join("")}\r\n`),
  );
  const framing: Framing = isEmpty
    ? { kind: "none" }
    : head.framing.kind === "length"
    ? head.framing
    : { kind: "chunked" };
  return {
    ...head,
    framing,
    upgrade: undefined,
    early: 0,
    takesTrailers,
    body: isEmpty ? nothing() : measured(stream, framing),
  };
}

/** As many bytes as were told: with others the next server would read the rest as something else. */
async function* measured(stream: AsyncIterable<Uint8Array>, framing: Framing): AsyncGenerator<Uint8Array> {
  let left = framing.kind === "length" ? framing.bytes : Infinity;
  for await (const piece of stream) {
    left -= piece.length;
    if (left < 0) throw refuse("the body is longer than Content-Length");
    if (piece.length > 0) yield piece;
  }
  if (left > 0 && left !== Infinity) throw refuse("the body is shorter than Content-Length");
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** Answers over HTTP/2. */
class Responder2 implements Responder {
  hasBegun = false;

  constructor(readonly stream: ServerHttp2Stream) {}

  informational(): Promise<void> {
    return Promise.resolve();
  }

  async respond(
    head: ResponseHead,
    framing: Framing,
    pieces: AsyncIterable<Uint8Array>,
    trailers?: () => readonly Header[],
  ): Promise<void> {
    this.hasBegun = true;
    const headers: Fields = Object.assign(noFields(), { ":status": head.status });
    for (const [name, value] of head.headers) {
      if (ONLY_1.has(name) || name === "trailer" || name === "proxy-authenticate") continue;
      if (name === "content-length" && framing.kind === "chunked") continue;
      add(headers, name, value);
    }
    this.stream.respond(headers, {
      endStream: framing.kind === "none",
      waitForTrailers: trailers !== undefined,
    });
    if (framing.kind === "none") return;
    this.stream.on("wantTrailers", () => {
      if (this.stream.destroyed) return;
      const all = (trailers?.() ?? []).filter(([name]) => !ONLY_1.has(name));
      this.stream.sendTrailers(Object.fromEntries(all));
    });
    for await (const piece of pieces) {
      await new Promise<void>((resolve, reject) => {
        if (this.stream.destroyed) return reject(new Error("the stream is closed"));
        this.stream.write(Buffer.from(piece.slice()), (error) => error ? reject(error) : resolve());
      });
    }
    await new Promise<void>((resolve) => this.stream.end(() => resolve()));
  }
}

function refuse(message: string): Refusal {
  return new Refusal("http:h2", message);
}
