import type { AuditEntry } from "../../audit/record.ts";
import type { SandboxTraffic } from "../sandbox.ts";
import { Refusal } from "../refusal.ts";
import { bodyWithoutSecrets, type Filled, withoutSecrets } from "../secrets.ts";
import { allowed, type Direction, TooMuch } from "../splice.ts";
import { connectTo, type Server, Upstream } from "../upstream.ts";
import { admit, isStillAllowed } from "./admit.ts";
import { body } from "./body.ts";
import type { Framing, Header, ResponseHead } from "./head.ts";
import { counted, forward2, settledNow } from "./forward2.ts";
import type { Place, Request, Responder } from "./request.ts";
import { Exchange2, type SharedUpstream } from "./upstream2.ts";
import { asksForWebSocket, checkAgreeing, tunnel } from "./websocket.ts";
import { CHUNK_END, chunkStart, headBytes } from "./write.ts";

const INFORMATIONAL = 8;
const RESPONSE_MS = 120_000;

/** Decides over requests of one connection, and forwards those that are let through over one connection to the server. */
export class Exchanger {
  #upstream: Upstream | undefined;
  /** What is asked of a server over HTTP/2. */
  #exchange2: Exchange2 | undefined;

  constructor(readonly traffic: SandboxTraffic, readonly place: Place, readonly shared?: SharedUpstream) {}

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
      ({ rule, filled } = admit(this.traffic, this.place, request));
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
    const told = { up: 0, down: 0, status: 0 };
    const { ended } = this.place;
    const stop = (): void => this.close();
    ended.addEventListener("abort", stop, { once: true }); // a server may never answer
    this.traffic.pending++;
    let end: { verdict: "allow" | "deny"; rule: string; reason?: string } = { verdict: "allow", rule };
    try {
      return await this.#forward(request, filled, responder, told, () => {
        // What is known only afterwards comes with another record: this one is written before anything passes.
        const reason = "it goes over to WebSocket";
        this.traffic.record({ ...entry, verdict: "allow", rule, status: 101, reason });
      });
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
      ended.removeEventListener("abort", stop);
      this.traffic.pending--;
      const durationMs = Math.round(this.traffic.around.nowMs() - startMs);
      const status = told.status === 0 ? {} : { status: told.status };
      this.traffic.record({
        ...entry,
        ...end,
        ...status,
        uploadBytes: told.up,
        downloadBytes: told.down,
        durationMs,
      });
    }
  }

  /** Closes the connection to the server. */
  close(): void {
    this.#exchange2?.close();
    this.#upstream?.stream.close();
    this.#exchange2 = this.#upstream = undefined;
  }

  #described({ host, method, path }: Request): Omit<AuditEntry, "sandbox" | "verdict" | "rule"> {
    const { address, port, scheme } = this.place;
    return { kind: "request", name: host, address, port, protocol: scheme, method, path };
  }

  async #forward(
    request: Request,
    filled: Filled,
    responder: Responder,
    told: { up: number; down: number; status: number },
    recordTunnel: () => void,
  ): Promise<boolean> {
    const { traffic, place } = this;
    const isOver = asksForWebSocket(request) && responder.goOver !== undefined;
    if (isOver) this.close(); // it takes a connection of its own
    const up = this.#direction("upload", (bytes) => told.up += bytes);
    const down = this.#direction("download", (bytes) => told.down += bytes);
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
    place.touch(RESPONSE_MS);
    const status = (code: number): void => void (told.status = code);
    const session = await this.shared?.session();
    if (session) {
      const { target, takesTrailers = false } = request;
      const asked = {
        method,
        authority: host,
        target,
        headers,
        isEmpty: framing.kind === "none",
        takesTrailers,
      };
      const clear = (response: ResponseHead): ResponseHead => this.#cleared(response, filled);
      const around = { pieces, used: filled.used, responder, status, up, down, place, clear };
      if (place.ended.aborted) throw new Refusal("upstream:closed", "nobody waits for it any more", 502);
      return await forward2(this.#exchange2 = new Exchange2(session, asked), around);
    }
    this.#upstream ??= this.shared?.takeFirst();
    const line = `${method} ${request.target} HTTP/1.1`;
    const head = headBytes({ line, host, headers, framing, ...(isOver ? { upgrade: "websocket" } : {}) });
    for (let fresh = this.#upstream === undefined;; fresh = true) {
      const upstream = this.#upstream ??= new Upstream(await connectTo(this.#server(), place.ended));
      if (place.ended.aborted) this.close();
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
        response = await this.#responseHead(upstream, method, responder, { isOver, filled });
        if (response?.status === 101) checkAgreeing(headers, response);
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
      status(response.status);
      if (response.status === 101) {
        place.goesOver(() => isStillAllowed(traffic, place, request));
        if (!isStillAllowed(traffic, place, request)) {
          throw new Refusal("default", "the policy has changed", 403);
        }
        recordTunnel();
        const client = await responder.goOver!(this.#cleared(response, filled));
        const server = { stream: upstream.stream, first: upstream.reader.available };
        const touching = (one: Direction): Direction => ({
          ...one,
          passed: (bytes) => {
            one.passed(bytes);
            place.touch();
          },
        });
        await tunnel(client, server, { up: touching(up), down: touching(down) });
        return false;
      }
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
    { isOver, filled }: { readonly isOver: boolean; readonly filled: Filled },
  ): Promise<ResponseHead | undefined> {
    for (let seen = 0;; seen++) {
      const response = await upstream.head(method);
      if (response === undefined || response.status >= 200 || isOver && response.status === 101) {
        return response;
      }
      if (response.status === 101 || seen === INFORMATIONAL) {
        throw new Refusal("http:informational", "the server goes over to another protocol", 502);
      }
      await responder.informational(this.#cleared(response, filled));
    }
  }

  async #respond(
    upstream: Upstream,
    response: ResponseHead,
    { filled, responder, down }: { filled: Filled; responder: Responder; down: Direction },
  ): Promise<void> {
    const pieces = counted(body(upstream.reader, response.framing), down, this.place);
    const { used } = filled;
    if (used.length === 0) return await responder.respond(response, response.framing, pieces);
    const framing = response.framing.kind === "none" ? response.framing : { kind: "chunked" } as const;
    await responder.respond(this.#cleared(response, filled), framing, bodyWithoutSecrets(pieces, used));
  }

  /** A head with placeholders where credentials stood. */
  #cleared(response: ResponseHead, { used }: Filled): ResponseHead {
    const headers = response.headers.map(([name, value]): Header => [name, withoutSecrets(value, used)]);
    return { ...response, reason: withoutSecrets(response.reason, used), headers };
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
