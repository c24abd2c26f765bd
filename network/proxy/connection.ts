import type { End } from "../../ffi/conntrack.ts";
import { type ConnectionVerdict, decideConnection, decideName } from "../policy/decide.ts";
import type { Protocol } from "../policy/policy.ts";
import type { Place } from "./http/request.ts";
import { isHttp2, serveHttp1 } from "./http/session.ts";
import { Refusal } from "./refusal.ts";
import type { Held, SandboxTraffic } from "./sandbox.ts";
import { copy, type Direction, TooMuch } from "./splice.ts";
import { ConnectionStream, type Stream } from "./stream.ts";
import { clientHello } from "./tls/hello.ts";
import { connectTo } from "./upstream.ts";

/** How long the first bytes may take, and how long a copied connection may be silent. */
const [FIRST_MS, SILENT_MS] = [15_000, 600_000];
const FIRST_BYTES = 65536 + 1024;
const TLS_HANDSHAKE = 22;

/** One redirected connection of a sandbox, from its first byte to its end. */
export class SandboxConnection implements Held {
  readonly #client: Stream;
  /** When it is closed unless something happens. */
  deadlineMs: number;
  readonly #startMs: number;
  #server: Stream | undefined;
  /** What it was let through as; nothing while that is open, and for what is decided over again by itself. */
  #copied: { protocol: Protocol; names: readonly string[] } | undefined;
  /** Whether what has gone over to another protocol may go on. */
  #isTunnelAllowed: (() => boolean) | undefined;
  #bytes = { up: 0, down: 0 };
  readonly #ending = new AbortController();

  constructor(readonly traffic: SandboxTraffic, connection: Deno.TcpConn, readonly to: End) {
    this.#client = new ConnectionStream(connection);
    this.#startMs = traffic.around.nowMs();
    this.deadlineMs = this.#startMs + FIRST_MS;
  }

  close(): void {
    this.#ending.abort();
    this.#client.close();
    this.#server?.close();
  }

  isStillAllowed(): boolean {
    if (!this.#copied) return this.#isTunnelAllowed?.() ?? true;
    const { protocol, names } = this.#copied;
    return this.#decide(protocol, names).verdict === "allow";
  }

  /** Serves it; returns when it is over. */
  async serve(): Promise<void> {
    try {
      await this.#serve();
    } catch (error) {
      if (error instanceof Refusal) {
        this.#record({ verdict: "deny", rule: error.rule, reason: error.message });
      } else if (error instanceof TooMuch) {
        this.#record({ verdict: "deny", rule: "limit:bytes", reason: error.message });
      }
      // Anything else is the end of the connection, or of what it can be recorded in.
    } finally {
      this.close();
    }
  }

  async #serve(): Promise<void> {
    const { traffic, to } = this;
    if (!traffic.hasRoom) throw new Refusal("limit:connections", "there are too many connections", 429);
    traffic.confirm();
    const names = this.#names();
    const raw = this.#decide("tcp", names);
    if (raw.verdict === "allow") {
      return await this.#copy({ protocol: "tcp", names, verdict: raw, first: new Uint8Array() });
    }
    const first = await this.#first();
    if (first.length === 0) throw new Refusal(raw.rule, "the connection ended before it said anything", 403);
    if (first[0] === TLS_HANDSHAKE) return await this.#serveTls(first);
    if (isHttp2(first)) {
      const { serveHttp2 } = await import("./http/session2.ts");
      const { duplexOf } = await import("./duplex.ts");
      const node = duplexOf(this.#client, first, this, false);
      return await serveHttp2(traffic, { node, place: this.#place("http", undefined) });
    }
    if (first[0]! < 0x21 && first[0] !== 13 && first[0] !== 10 || first[0]! > 0x7e) {
      throw new Refusal(
        raw.rule === "default" ? "default" : raw.rule,
        `what is spoken to ${to.address} is neither TLS nor HTTP`,
        403,
      );
    }
    await serveHttp1(traffic, { stream: this.#client, first, place: this.#place("http", undefined) });
  }

  /** The first bytes: all of ClientHello, or enough to see that it is none. */
  async #first(): Promise<Uint8Array> {
    let bytes = new Uint8Array();
    const buffer = new Uint8Array(FIRST_BYTES);
    for (;;) {
      const count = await this.#client.read(buffer.subarray(bytes.length));
      if (count === null) {
        if (bytes[0] === TLS_HANDSHAKE) throw new Refusal("tls:hello", "ClientHello ends early", 403);
        return bytes;
      }
      bytes = buffer.subarray(0, bytes.length + count);
      const isWhole = bytes[0] === TLS_HANDSHAKE
        ? clientHello(bytes) !== undefined
        : isHttp2(bytes) !== undefined;
      if (isWhole) return bytes;
    }
  }

  async #serveTls(first: Uint8Array): Promise<void> {
    const { serverName } = clientHello(first)!;
    const names = this.#names();
    const verdict = this.#decideTls(serverName, names);
    const isNamed = names.includes(serverName);
    if (verdict.inspect) {
      if (!isNamed) {
        throw new Refusal(
          "builtin:sni",
          `TLS is for "${serverName}", which this address was not told for`,
          403,
        );
      }
      const { serveOpened } = await import("./inspect.ts");
      this.#record({
        verdict: "allow",
        rule: verdict.rule,
        name: serverName,
        protocol: "https",
        reason: "TLS is opened",
      });
      const place = this.#place("https", serverName);
      return await serveOpened(this.traffic, { stream: this.#client, first, place, name: serverName });
    }
    await this.#copy({ protocol: "https", names: isNamed ? [serverName] : [], verdict, first });
  }

  #decideTls(serverName: string, names: readonly string[]): ConnectionVerdict {
    const isNamed = names.includes(serverName);
    const verdict = this.#decide("https", isNamed ? [serverName] : []);
    if (verdict.verdict === "deny") {
      const rule = isNamed || verdict.rule !== "default" ? verdict.rule : "builtin:sni";
      throw new Refusal(
        rule,
        isNamed ? verdict.reason : `TLS is for "${serverName}", which this address was not told for`,
        403,
      );
    }
    if (!isNamed) {
      // A rule for addresses lets it through: only what a rule denies by its name does not.
      const named = decideName(this.traffic.policy, serverName);
      if (named.verdict === "deny" && named.rule !== "default") {
        throw new Refusal(named.rule, named.reason, 403);
      }
    }
    return verdict;
  }

  async #copy(
    { protocol, names, verdict, first }: {
      readonly protocol: Protocol;
      readonly names: readonly string[];
      readonly verdict: ConnectionVerdict;
      readonly first: Uint8Array;
    },
  ): Promise<void> {
    const { traffic } = this;
    this.#copied = { protocol, names };
    const name = names.length === 1 ? { name: names[0]! } : {};
    const described = { protocol, rule: verdict.rule, ...name };
    // Written before anything passes.
    this.#record({ verdict: "allow", ...described, reason: verdict.reason });
    this.touch(SILENT_MS);
    const server = this.#server = await connectTo(
      { address: this.to.address, port: this.to.port },
      this.#ending.signal,
    );
    if (!this.isStillAllowed()) throw new Refusal("default", "the policy has changed", 403);
    const passed = (which: "up" | "down") => (bytes: number): void => {
      this.#bytes[which] += bytes;
      this.touch(SILENT_MS);
    };
    const { nowMs } = traffic.around;
    const up: Direction = { flow: () => traffic.upload, nowMs, passed: passed("up") };
    const down: Direction = { flow: () => traffic.download, nowMs, passed: passed("down") };
    const both = [copy(this.#client, server, up, first), copy(server, this.#client, down)];
    // A direction that fails ends the other; one that just ends does not.
    for (const one of both) one.catch(() => this.close());
    const ends = await Promise.allSettled(both);
    const much = ends.find((end) => end.status === "rejected" && end.reason instanceof TooMuch);
    const { up: uploadBytes, down: downloadBytes } = this.#bytes;
    const durationMs = Math.round(nowMs() - this.#startMs);
    const verdictNow = much
      ? { verdict: "deny" as const, rule: "limit:bytes" }
      : { verdict: "allow" as const, rule: verdict.rule };
    this.#record({
      ...described,
      ...verdictNow,
      reason: "the connection is over",
      uploadBytes,
      downloadBytes,
      durationMs,
    });
  }

  /** Puts off the time at which the connection is closed. */
  touch(withinMs: number = SILENT_MS): void {
    this.deadlineMs = this.traffic.around.nowMs() + withinMs;
  }

  #names(): readonly string[] {
    return this.traffic.pins.namesOf(this.to.address, this.traffic.around.nowMs());
  }

  #decide(protocol: Protocol, names: readonly string[]): ConnectionVerdict {
    const { address, port } = this.to;
    return decideConnection(this.traffic.policy, { names, address, port, protocol });
  }

  /** Names stay those of a connection while it is open: a client may use it longer than a name lasts. */
  #place(scheme: "http" | "https", tlsName: string | undefined): Place {
    const names = tlsName === undefined ? this.#names() : [tlsName];
    const touch = (withinMs?: number): void => this.touch(withinMs);
    const goesOver = (isStillAllowed: () => boolean): void => {
      this.#isTunnelAllowed = isStillAllowed;
      this.touch(SILENT_MS);
    };
    const { address, port } = this.to;
    const ended = this.#ending.signal;
    return { scheme, address, port, names: () => names, tlsName, touch, goesOver, ended };
  }

  #record(
    entry: {
      verdict: "allow" | "deny";
      rule: string;
      reason?: string;
      name?: string;
      protocol?: string;
      uploadBytes?: number;
      downloadBytes?: number;
      durationMs?: number;
    },
  ): void {
    this.traffic.record({ kind: "connect", address: this.to.address, port: this.to.port, ...entry });
  }
}
