import { createHash } from "node:crypto";
import { Refusal } from "../refusal.ts";
import type { Stream } from "../stream.ts";
import { copy, type Direction, TooMuch } from "../splice.ts";
import { type Header, type RequestHead, type ResponseHead, single } from "./head.ts";

/** Going over to WebSocket (RFC 6455, section 4): both sides have to say so in the one way there is. */

const VERSION = "13";
/** What an answer to a key is made with. */
const ACCEPTING = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY = /^[A-Za-z0-9+/]{21}[AQgw]==$/;

/** Whether a request asks to go over to WebSocket. What else it asks for is left out of what is forwarded. */
export function asksForWebSocket({ upgrade }: Pick<RequestHead, "upgrade">): boolean {
  return upgrade === "websocket";
}

/**
 * Looks whether a request asks for it as it must.
 *
 * @param head The request.
 * @param early How many bytes came behind it: before the server agrees there is nothing to say.
 * @throws {Refusal} When one server could go over, and another take the rest for requests.
 */
export function checkAsking(
  { method, minor, headers, framing }: Pick<RequestHead, "method" | "minor" | "headers" | "framing">,
  early: number,
): void {
  if (method !== "GET" || minor !== 1) throw refuse("only GET of HTTP/1.1 goes over to WebSocket");
  if (framing.kind !== "none") throw refuse("a request that goes over to WebSocket has no body");
  if (single(headers, "sec-websocket-version") !== VERSION) {
    throw refuse("the version of WebSocket is not 13");
  }
  if (!KEY.test(single(headers, "sec-websocket-key") ?? "")) throw refuse("Sec-WebSocket-Key is no key");
  if (early > 0) throw refuse("there are bytes before the server has agreed to WebSocket");
}

/**
 * Looks whether a response with status 101 is the answer to that request.
 *
 * @throws {Refusal} When it is not.
 */
export function checkAgreeing(asked: readonly Header[], { minor, headers }: ResponseHead): void {
  const values = (some: readonly Header[], name: string): string[] =>
    (single(some, name, true) ?? "").split(",").map((one) => one.trim()).filter((one) => one !== "");
  const names = (some: readonly Header[], name: string): string[] =>
    values(some, name).map((one) => one.split(";", 1)[0]!.trim());
  const isUpgrade = minor === 1 && single(headers, "upgrade")?.toLowerCase() === "websocket" &&
    values(headers, "connection").some((one) => one.toLowerCase() === "upgrade");
  if (!isUpgrade) throw disagree("it goes over to another protocol");
  const key = single(asked, "sec-websocket-key")!;
  const accepted = createHash("sha1").update(key + ACCEPTING).digest("base64");
  if (single(headers, "sec-websocket-accept") !== accepted) throw disagree("Sec-WebSocket-Accept is wrong");
  const protocol = single(headers, "sec-websocket-protocol");
  if (protocol !== undefined && !values(asked, "sec-websocket-protocol").includes(protocol)) {
    throw disagree("it speaks a protocol that was not asked for");
  }
  const offered = names(asked, "sec-websocket-extensions");
  if (names(headers, "sec-websocket-extensions").some((one) => !offered.includes(one))) {
    throw disagree("it uses an extension that was not asked for");
  }
  for (const name of ["content-length", "transfer-encoding"]) {
    if (headers.some(([each]) => each === name)) throw disagree(`it has ${name}`);
  }
}

/** One side of a connection that has gone over: bytes that came already, and what follows. */
export interface Side {
  readonly stream: Stream;
  readonly first: Uint8Array;
}

/**
 * Copies both ways until both have ended, or one fails.
 *
 * @throws {TooMuch} When more came than may.
 */
export async function tunnel(
  client: Side,
  server: Side,
  { up, down }: { readonly up: Direction; readonly down: Direction },
): Promise<void> {
  const both = [
    copy(client.stream, server.stream, up, client.first.slice()),
    copy(server.stream, client.stream, down, server.first.slice()),
  ];
  const close = (): void => {
    client.stream.close();
    server.stream.close();
  };
  for (const one of both) one.catch(close);
  const ends = await Promise.allSettled(both);
  close();
  for (const end of ends) if (end.status === "rejected" && end.reason instanceof TooMuch) throw end.reason;
}

function refuse(message: string): Refusal {
  return new Refusal("http:upgrade", message);
}

function disagree(message: string): Refusal {
  return new Refusal("http:upgrade", `the server does not agree to WebSocket as it must: ${message}`, 502);
}
