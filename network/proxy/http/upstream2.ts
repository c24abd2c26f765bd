import { Buffer } from "node:buffer";
import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import { Refusal } from "../refusal.ts";
import { connectWith, type Server, Upstream } from "../upstream.ts";
import type { Header, ResponseHead } from "./head.ts";
import { isToken } from "./head.ts";
import { OWN } from "./write.ts";

/** What a server of HTTP/2 is asked. */
export interface Request2 {
  readonly method: string;
  readonly authority: string;
  readonly target: string;
  readonly headers: readonly Header[];
  readonly isEmpty: boolean;
  /** Whether whoever asks takes headers behind the body. */
  readonly takesTrailers: boolean;
}

/** A connection to a server for all requests of one connection of HTTP/2, if the server speaks that, too. */
export class SharedUpstream implements Disposable {
  #session: Promise<ClientHttp2Session | undefined> | undefined;
  #first: Upstream | undefined;
  /** All that are there: of one that takes no more requests some may still be under way. */
  readonly #sessions = new Set<ClientHttp2Session>();
  #isOver = false;

  /** @param ended Says that nobody wants it any more. */
  constructor(readonly server: Server, readonly ended: AbortSignal) {}

  /**
   * The connection, which is made anew if it has ended.
   *
   * @returns Nothing if the server speaks HTTP/1.1 only.
   * @throws {Refusal} When the server cannot be reached.
   */
  async session(): Promise<ClientHttp2Session | undefined> {
    const asked = this.#session ??= this.#connect();
    const known = await asked;
    if (!known || !(known.closed || known.destroyed)) return known;
    // Of several requests that find it so, one makes the next.
    if (this.#session === asked) this.#session = undefined;
    return await (this.#session ??= this.#connect());
  }

  /** The connection that was made to ask what the server speaks, for one that takes it. */
  takeFirst(): Upstream | undefined {
    const first = this.#first;
    this.#first = undefined;
    return first;
  }

  async #connect(): Promise<ClientHttp2Session | undefined> {
    const connecting = connectWith(this.server, ["h2", "http/1.1"], this.ended);
    connecting.catch(() => this.#session = undefined); // the next request tries again
    const { stream, protocol } = await connecting;
    if (protocol !== "h2") {
      this.#first = new Upstream(stream);
      return undefined;
    }
    const { connect } = await import("node:http2");
    const { duplexOf } = await import("../duplex.ts");
    const duplex = duplexOf(stream, new Uint8Array(), { touch: () => {} }, false);
    const session = connect(`https://${this.server.tlsName}`, {
      createConnection: () => duplex,
      settings: { enablePush: false },
      maxSessionMemory: 4,
    });
    session.on("error", () => session.destroy());
    session.on("close", () => this.#sessions.delete(session));
    this.#sessions.add(session);
    if (this.#isOver) session.destroy();
    return session;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#first?.stream.close();
    for (const session of this.#sessions) session.destroy();
  }
}

/** A request of HTTP/2 that is under way. */
export class Exchange2 {
  readonly #stream: ClientHttp2Stream;
  readonly #head: Promise<ResponseHead>;
  /** Headers that came behind the body. */
  trailers: readonly Header[] = [];

  constructor(session: ClientHttp2Session, request: Request2) {
    const { method, authority, target, headers, isEmpty, takesTrailers } = request;
    const fields: Fields = Object.assign(noFields(), {
      ":method": method,
      ":scheme": "https",
      ":authority": authority,
      ":path": target,
    });
    for (const [name, value] of headers) if (!OWN.has(name)) add(fields, name, value);
    if (takesTrailers) fields["te"] = "trailers";
    this.#stream = session.request(fields, { endStream: isEmpty });
    this.#head = new Promise((resolve, reject) => {
      const failed = (why?: Error): void =>
        reject(
          new Refusal(
            "upstream:closed",
            `the server has ended the request${why ? `: ${why.message}` : ""}`,
            502,
          ),
        );
      this.#stream.on("response", (headers: Record<string, unknown>, flags: number) => {
        try {
          resolve(headOf(headers, (flags & 1) !== 0));
        } catch (error) {
          reject(error);
        }
      });
      this.#stream.on("error", failed);
      this.#stream.on("close", () => failed());
    });
    this.#head.catch(() => {}); // whoever waits hears of it
    this.#stream.on("trailers", (headers: Record<string, unknown>) => this.trailers = [...fieldsOf(headers)]);
  }

  /** The head of the response. @throws {Refusal} If none comes. */
  head(): Promise<ResponseHead> {
    return this.#head;
  }

  /** Sends a piece of the body. */
  write(piece: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#stream.destroyed || this.#stream.closed) return reject(new Error("the stream is closed"));
      this.#stream.write(Buffer.from(piece.slice()), (error) => error ? reject(error) : resolve());
    });
  }

  /** Ends the body. */
  end(): void {
    this.#stream.end();
  }

  /** The body of the response. */
  async *body(): AsyncGenerator<Uint8Array> {
    for await (const piece of this.#stream) if (piece.length > 0) yield piece;
  }

  /** Ends the request, if it has not ended. */
  close(): void {
    this.#stream.close(8); // CANCEL
  }
}

/** Headers by their names. */
export type Fields = Record<string, string | string[] | number>;

/** None yet; a name that every object has, as `constructor`, is not there either. */
export function noFields(): Fields {
  return Object.create(null);
}

/** Adds a header, which may stand there more than once. */
export function add(fields: Fields, name: string, value: string): void {
  const before = fields[name];
  fields[name] = before === undefined ? value : [before as string, value].flat();
}

function* fieldsOf(headers: Record<string, unknown>): Iterable<Header> {
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(":")) continue;
    for (const each of Array.isArray(value) ? value : [value]) {
      const text = String(each);
      if (!isToken(name) || /[\r\n\0]|[^\0-\xff]/.test(text)) {
        throw new Refusal("upstream:http:h2", "the server sends an impossible header", 502);
      }
      yield [name, text];
    }
  }
}

function headOf(headers: Record<string, unknown>, isEnd: boolean): ResponseHead {
  const status = Number(headers[":status"]);
  if (!Number.isInteger(status) || status < 200 || status > 999) {
    throw new Refusal("upstream:http:h2", "the server sends an impossible status", 502);
  }
  const framing = isEnd ? { kind: "none" } as const : { kind: "chunked" } as const;
  return { minor: 1, status, reason: "", headers: [...fieldsOf(headers)], framing, keepAlive: true };
}
