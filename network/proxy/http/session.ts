import { ByteReader } from "../bytes.ts";
import { Refusal } from "../refusal.ts";
import type { SandboxTraffic } from "../sandbox.ts";
import type { Stream } from "../stream.ts";
import { headOf, NO_BODY } from "../upstream.ts";
import { body } from "./body.ts";
import { Exchanger } from "./exchange.ts";
import type { Place, Request, Responder } from "./request.ts";
import { type Framing, type RequestHead, requestHead, type ResponseHead } from "./head.ts";
import type { Side } from "./websocket.ts";
import { CHUNK_END, chunkStart, headBytes, latin1, together } from "./write.ts";

/** How long a head may take, and how long a connection may wait for the next request. */
const [HEAD_MS, IDLE_MS] = [30_000, 120_000];
const STATUS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  403: "Forbidden",
  414: "URI Too Long",
  415: "Unsupported Media Type",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  501: "Not Implemented",
  502: "Bad Gateway",
  505: "HTTP Version Not Supported",
};

/** Serves a connection on which HTTP/1 is spoken, to its end. */
export async function serveHttp1(
  traffic: SandboxTraffic,
  { stream, first, place }: { readonly stream: Stream; readonly first: Uint8Array; readonly place: Place },
): Promise<void> {
  const reader = new ByteReader(stream, first);
  const exchanger = new Exchanger(traffic, place);
  try {
    for (let isFirst = true, goesOn = true; goesOn; isFirst = false) {
      place.touch(isFirst || reader.available.length > 0 ? HEAD_MS : IDLE_MS);
      goesOn = await one(reader, { traffic, exchanger, stream, place });
    }
    await stream.closeWrite();
  } finally {
    exchanger.close();
  }
}

async function one(
  reader: ByteReader,
  { traffic, exchanger, stream, place }: {
    readonly traffic: SandboxTraffic;
    readonly exchanger: Exchanger;
    readonly stream: Stream;
    readonly place: Place;
  },
): Promise<boolean> {
  let head: RequestHead;
  try {
    const bytes = await headOf(reader);
    if (bytes === undefined) return false;
    head = requestHead(bytes);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { address, port, scheme } = place;
    const what = { address, port, protocol: scheme, status: error.status };
    traffic.record({ kind: "request", verdict: "deny", rule: error.rule, reason: error.message, ...what });
    await refuse(stream, error);
    return false;
  }
  const pieces = body(reader, head.framing);
  const request: Request = { ...head, body: pieces, early: reader.available.length };
  const responder = new Responder1(stream, head, reader);
  try {
    const isWhole = await exchanger.exchange(request, responder);
    return isWhole && head.keepAlive && responder.mayGoOn;
  } catch (error) {
    if (!(error instanceof Refusal) || responder.hasBegun) throw error;
    await refuse(stream, error);
    return false;
  }
}

/** Answers with the reason, in words; the connection ends after that. */
async function refuse(stream: Stream, { rule, message, status }: Refusal): Promise<void> {
  const text = new TextEncoder().encode(
    `${status >= 500 ? "Not possible" : "Refused"} by ${rule}: ${message}\n`,
  );
  const head = headBytes({
    line: `HTTP/1.1 ${status} ${STATUS[status] ?? "Refused"}`,
    headers: [["content-type", "text/plain; charset=utf-8"], [
      "x-ai-sandbox-rule",
      rule.replace(/[^\x21-\x7e]/g, "?"),
    ]],
    framing: { kind: "length", bytes: text.length },
    connection: "close",
  });
  await stream.write(together(head, text)!);
}

/** Answers over HTTP/1. */
class Responder1 implements Responder {
  hasBegun = false;
  mayGoOn = true;

  constructor(readonly stream: Stream, readonly request: RequestHead, readonly reader: ByteReader) {}

  async goOver(head: ResponseHead): Promise<Side> {
    this.hasBegun = true;
    const upgrade = "websocket";
    await this.stream.write(
      headBytes({ line: lineOf(head), headers: head.headers, framing: NO_BODY, upgrade }),
    );
    return { stream: this.stream, first: this.reader.available };
  }

  async informational(head: ResponseHead): Promise<void> {
    if (this.request.minor === 0) return;
    await this.stream.write(
      headBytes({ line: lineOf(head), headers: head.headers, framing: NO_BODY }),
    );
  }

  async respond(head: ResponseHead, told: Framing, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    this.hasBegun = true;
    // HTTP/1.0 has no chunks: there the end of the connection is the end.
    const isOld = this.request.minor === 0;
    const framing: Framing = told.kind === "until close" || (told.kind === "chunked" && isOld)
      ? isOld ? { kind: "until close" } : { kind: "chunked" }
      : told;
    this.mayGoOn = framing.kind !== "until close";
    const isEmpty = head.status === 204 || head.status === 304 || this.request.method === "HEAD";
    const length = isEmpty ? head.headers.find(([name]) => name === "content-length")?.[1] : undefined;
    let before: Uint8Array<ArrayBuffer> | undefined = headBytes({
      line: lineOf(head),
      headers: head.headers,
      framing,
      ...(length === undefined || head.status === 204 ? {} : { toldLength: length }),
      ...(this.request.keepAlive && this.mayGoOn ? {} : { connection: "close" }),
    });
    for await (const piece of pieces) {
      if (framing.kind === "chunked") {
        const start = chunkStart(piece.length);
        before = before ? together(before, start) ?? await this.#written(before, start) : start;
      }
      const both = before ? together(before, piece) : undefined;
      if (before && !both) await this.stream.write(before);
      await this.stream.write(both ?? piece);
      before = framing.kind === "chunked" ? CHUNK_END : undefined;
    }
    if (framing.kind === "chunked") before = before ? together(before, chunkStart(0))! : chunkStart(0);
    if (before) await this.stream.write(before);
  }

  async #written(
    first: Uint8Array<ArrayBuffer>,
    then: Uint8Array<ArrayBuffer>,
  ): Promise<Uint8Array<ArrayBuffer>> {
    await this.stream.write(first);
    return then;
  }
}

function lineOf({ status, reason }: ResponseHead): string {
  return `HTTP/1.1 ${status} ${reason}`;
}

/** Whether these first bytes are the start of HTTP/2 in clear; nothing while that is open. */
export function isHttp2(bytes: Uint8Array): boolean | undefined {
  const preface = latin1("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  for (let at = 0; at < Math.min(bytes.length, preface.length); at++) {
    if (bytes[at] !== preface[at]) return false;
  }
  return bytes.length >= preface.length ? true : undefined;
}
