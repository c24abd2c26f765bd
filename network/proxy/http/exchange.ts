import type { AuditEntry } from "../../audit/record.ts";
import { decideConnection, decideRequest } from "../../policy/decide.ts";
import type { SandboxTraffic } from "../sandbox.ts";
import { Refusal } from "../refusal.ts";
import { bodyWithoutSecrets, type Filled, withoutSecrets } from "../secrets.ts";
import { allowed, type Direction, TooMuch } from "../splice.ts";
import { connectTo, type Server, Upstream } from "../upstream.ts";
import { body } from "./body.ts";
import type { Framing, Header, ResponseHead } from "./head.ts";
import { CHUNK_END, chunkStart, headBytes } from "./write.ts";

const INFORMATIONAL = 8;
/** A head and the first of a body go in one packet up to here. */
const TOGETHER_BYTES = 16384;
const RESPONSE_MS = 120_000;

/** A request, however it came. */
export interface Request {
  readonly method: string;
  readonly target: string;
  readonly path: string;
  readonly host: string;
  readonly port: number | undefined;
  readonly headers: readonly Header[];
  readonly framing: Framing;
  readonly upgrade: string | undefined;
  readonly body: AsyncIterable<Uint8Array>;
}

/** Who is answered, however. */
export interface Responder {
  /** A response of the class 1xx. */
  informational(head: ResponseHead): Promise<void>;
  /** Sends the head, and the body piece by piece; `framing` says how much there is. */
  respond(head: ResponseHead, framing: Framing, pieces: AsyncIterable<Uint8Array>): Promise<void>;
}

/** The connection that a request came on. */
export interface Place {
  readonly scheme: "http" | "https";
  readonly address: string;
  readonly port: number;
  /** The names that a request may be for, now. */
  readonly names: () => readonly string[];
  /** What says which server is meant on a connection with TLS. */
  readonly tlsName: string | undefined;
  /** Says that something happened, so that the connection is not taken for idle. */
  readonly touch: (withinMs?: number) => void;
}

/** Decides over requests of one connection, and forwards those that are let through over one connection to the server. */
export class Exchanger {
  #upstream: Upstream | undefined;

  constructor(readonly traffic: SandboxTraffic, readonly place: Place) {}

  /**
   * Forwards a request, and its response back.
   *
   * @returns Whether another may follow on the same connection.
   * @throws {Refusal} When nothing of a response was sent, so that it can be answered with the reason.
   */
  async exchange(request: Request, responder: Responder): Promise<boolean> {
    const startMs = this.traffic.around.nowMs();
    const entry = { ...this.#described(request), traceId: crypto.randomUUID() };
    let rule: string, filled: Filled;
    try {
      ({ rule, filled } = this.#decide(request));
      // What cannot be written down afterwards does not begin.
      this.traffic.confirm();
    } catch (error) {
      if (error instanceof Refusal) {
        // What must not leave must not stand in the log either.
        const path = this.traffic.secrets.found(entry.path ?? "") ? { path: "/…" } : {};
        this.traffic.record({
          ...entry,
          ...path,
          verdict: "deny",
          rule: error.rule,
          reason: error.message,
          status: error.status,
        });
      }
      throw error;
    }
    const counted = { up: 0, down: 0, status: 0 };
    let end: { verdict: "allow" | "deny"; rule: string; reason?: string } = { verdict: "allow", rule };
    try {
      return await this.#forward(request, filled, responder, counted);
    } catch (error) {
      const isOurs = error instanceof Refusal || error instanceof TooMuch;
      if (error instanceof Refusal && error.rule.startsWith("upstream:")) {
        end = { verdict: "allow", rule, reason: error.message };
      } else if (error instanceof Refusal) end = { verdict: "deny", rule: error.rule, reason: error.message };
      else if (error instanceof TooMuch) {
        end = { verdict: "deny", rule: "limit:bytes", reason: error.message };
      } else end = { verdict: "allow", rule, reason: "the connection was cut" };
      this.close();
      if (isOurs && error instanceof TooMuch) throw new Refusal("limit:bytes", error.message, 429);
      throw error;
    } finally {
      const durationMs = Math.round(this.traffic.around.nowMs() - startMs);
      const status = counted.status === 0 ? {} : { status: counted.status };
      this.traffic.record({
        ...entry,
        ...end,
        ...status,
        uploadBytes: counted.up,
        downloadBytes: counted.down,
        durationMs,
      });
    }
  }

  /** Closes the connection to the server. */
  close(): void {
    this.#upstream?.stream.close();
    this.#upstream = undefined;
  }

  #described({ host, method, path }: Request): Omit<AuditEntry, "sandbox" | "verdict" | "rule"> {
    const { address, port, scheme } = this.place;
    return { kind: "request", name: host, address, port, protocol: scheme, method, path };
  }

  #decide(request: Request): { rule: string; filled: Filled } {
    const { traffic, place } = this;
    const { policy } = traffic;
    const { method, path, headers, host, target } = request;
    if (!traffic.takeRequest()) throw new Refusal("limit:requests", "there are too many requests", 429);
    const literal = host.startsWith("[") ? host.slice(1, -1) : host;
    const names = place.names();
    const isHere = place.tlsName === undefined
      ? names.includes(host) || (literal === place.address)
      : host === place.tlsName;
    if (!isHere) {
      throw new Refusal("builtin:host", `Host says "${host}", which this connection is not for`, 403);
    }
    if ((request.port ?? (place.scheme === "https" ? 443 : 80)) !== place.port) {
      throw new Refusal("builtin:host", "the port in Host is not the one of this connection", 403);
    }
    const connection = decideConnection(policy, {
      names: names.includes(host) ? [host] : [],
      address: place.address,
      port: place.port,
      protocol: place.scheme,
    });
    if (connection.verdict === "deny") throw new Refusal(connection.rule, connection.reason, 403);
    const verdict = decideRequest(policy, {
      scheme: place.scheme,
      name: host,
      port: place.port,
      method,
      path,
      headers,
      address: place.address,
      names,
    });
    if (verdict.verdict === "deny") throw new Refusal(verdict.rule, verdict.reason, 403);
    if (request.upgrade === "websocket") {
      throw new Refusal(
        "builtin:upgrade",
        "a request that goes over to another protocol cannot be decided over",
        403,
      );
    }
    const filled = traffic.secrets.fill({ scheme: place.scheme, name: host, target, headers });
    return { rule: verdict.rule, filled };
  }

  async #forward(
    request: Request,
    filled: Filled,
    responder: Responder,
    counted: { up: number; down: number; status: number },
  ): Promise<boolean> {
    const { traffic, place } = this;
    const up = this.#direction("upload", (bytes) => counted.up += bytes);
    const down = this.#direction("download", (bytes) => counted.down += bytes);
    const { framing, method } = request;
    const pieces = framing.kind === "none"
      ? undefined
      : traffic.secrets.looks
      ? this.#looked(request)
      : request.body;
    const headers = filled.used.length > 0
      ? [
        ...filled.headers.filter(([name]) => name !== "accept-encoding"),
        ["accept-encoding", "identity"] as const,
      ]
      : filled.headers;
    const host = request.port === undefined ? request.host : `${request.host}:${request.port}`;
    const head = headBytes({ line: `${method} ${request.target} HTTP/1.1`, host, headers, framing });
    place.touch(RESPONSE_MS);
    for (let fresh = this.#upstream === undefined;; fresh = true) {
      const upstream = this.#upstream ??= new Upstream(await connectTo(this.#server()));
      const sending = pieces === undefined
        ? this.#sendHead(upstream, head, up)
        : this.#send(upstream, head, { framing, pieces, up });
      // A server may answer before it has everything; what is found in the body ends both.
      let failed: unknown;
      sending.catch((error) => {
        failed = error;
        if (error instanceof Refusal || error instanceof TooMuch) upstream.stream.close();
      });
      let response: ResponseHead | undefined;
      try {
        response = await this.#responseHead(upstream, method, responder);
      } catch (error) {
        if (failed instanceof Refusal || failed instanceof TooMuch) throw failed;
        if (error instanceof Refusal) throw new Refusal(`upstream:${error.rule}`, error.message, 502);
        response = undefined;
      }
      if (failed instanceof Refusal || failed instanceof TooMuch) throw failed;
      if (response === undefined) {
        this.close();
        // A connection that stood idle may have ended just now: once more, if nothing of a body is gone.
        if (!fresh && pieces === undefined) continue;
        await sending.catch(() => {});
        if (failed instanceof Refusal || failed instanceof TooMuch) throw failed;
        throw new Refusal("upstream:closed", "the server has closed the connection", 502);
      }
      counted.status = response.status;
      await this.#respond(upstream, response, { filled, responder, down });
      const isSent = await settledNow(sending);
      if (!response.keepAlive || !isSent) this.close();
      return isSent;
    }
  }

  async #responseHead(
    upstream: Upstream,
    method: string,
    responder: Responder,
  ): Promise<ResponseHead | undefined> {
    for (let seen = 0;; seen++) {
      const response = await upstream.head(method);
      if (response === undefined || response.status >= 200) return response;
      if (response.status === 101 || seen === INFORMATIONAL) {
        throw new Refusal("http:informational", "the server goes over to another protocol", 502);
      }
      await responder.informational(response);
    }
  }

  async #respond(
    upstream: Upstream,
    response: ResponseHead,
    { filled, responder, down }: { filled: Filled; responder: Responder; down: Direction },
  ): Promise<void> {
    const { touch } = this.place;
    const pieces = async function* (): AsyncGenerator<Uint8Array> {
      for await (const piece of body(upstream.reader, response.framing)) {
        touch();
        await allowed(piece.length, down);
        down.passed(piece.length);
        yield piece;
      }
    };
    const { used } = filled;
    if (used.length === 0) return await responder.respond(response, response.framing, pieces());
    const headers = response.headers.map(([name, value]): Header => [name, withoutSecrets(value, used)]);
    const framing = response.framing.kind === "none" ? response.framing : { kind: "chunked" } as const;
    await responder.respond({ ...response, headers }, framing, bodyWithoutSecrets(pieces(), used));
  }

  /** The body of a request that has to be looked into: in what is packed nothing can be found. */
  #looked(request: Request): AsyncIterable<Uint8Array> {
    const coding = request.headers.find(([name]) => name === "content-encoding")?.[1];
    if (coding !== undefined && coding.toLowerCase() !== "identity") {
      throw new Refusal("secret:encoded", "the body is packed, so that secrets in it cannot be seen", 415);
    }
    return this.traffic.secrets.checked(request.body);
  }

  async #sendHead(upstream: Upstream, head: Uint8Array, up: Direction): Promise<void> {
    await allowed(head.length, up);
    await upstream.stream.write(head);
  }

  async #send(
    upstream: Upstream,
    head: Uint8Array,
    { framing, pieces, up }: { framing: Framing; pieces: AsyncIterable<Uint8Array>; up: Direction },
  ): Promise<void> {
    const { stream } = upstream;
    await allowed(head.length, up);
    await stream.write(head);
    for await (const piece of pieces) {
      this.place.touch(RESPONSE_MS);
      await allowed(piece.length, up);
      if (framing.kind === "chunked") await stream.write(chunkStart(piece.length));
      await stream.write(piece);
      if (framing.kind === "chunked") await stream.write(CHUNK_END);
      up.passed(piece.length);
    }
    if (framing.kind === "chunked") await stream.write(chunkStart(0));
  }

  #server(): Server {
    const { address, port, tlsName } = this.place;
    return tlsName === undefined ? { address, port } : { address, port, tlsName };
  }

  #direction(which: "upload" | "download", passed: (bytes: number) => void): Direction {
    const { traffic } = this;
    return { flow: () => traffic[which], nowMs: traffic.around.nowMs, passed };
  }
}

/** Bytes of a body as one, where they are few: what is written together arrives together. */
export function together(head: Uint8Array, first: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  if (head.length + first.length > TOGETHER_BYTES) return undefined;
  const bytes = new Uint8Array(head.length + first.length);
  bytes.set(head);
  bytes.set(first, head.length);
  return bytes;
}

/** Whether a promise is fulfilled already. */
async function settledNow(promise: Promise<unknown>): Promise<boolean> {
  const later = Symbol();
  const first = await Promise.race([promise.then(() => true, () => false), Promise.resolve(later)]);
  if (first !== later) return first === true;
  // One more turn: a promise that is fulfilled needs two to say so.
  return await Promise.race([
    promise.then(() => true, () => false),
    new Promise<boolean>((r) => setTimeout(() => r(false), 0)),
  ]);
}
