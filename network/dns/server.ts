import { Datagrams, type Peer } from "./datagrams.ts";
import { closed, exactly } from "./upstream.ts";

const TCP_IDLE_MS = 5_000;
/** How many connections and unanswered datagrams there may be: of one sandbox, so that others are heard, and of all. */
const TCP_AT_ONCE = { each: 16, all: 2048 } as const;
const UDP_AT_ONCE = { each: 256, all: 16384 } as const;

/** Answers a message of whoever has this address; nothing if it gets no answer. */
export type Answering = (
  from: string,
  bytes: Uint8Array,
  transport: "udp" | "tcp",
) => Promise<Uint8Array<ArrayBuffer> | undefined>;

/** Listens for questions on one address by UDP and TCP, at one port. */
export class NameListener implements Disposable {
  #udp!: Datagrams;
  readonly #tcp: Deno.Listener<Deno.TcpConn>;
  readonly #open = new Set<Deno.Conn>();
  readonly #connected = new Counts(TCP_AT_ONCE);
  readonly #answering = new Counts(UDP_AT_ONCE);

  private constructor(hostname: string, port: number, readonly answer: Answering) {
    this.#tcp = Deno.listen({ hostname, port });
  }

  /** Begins to listen. */
  static async open(hostname: string, port: number, answer: Answering): Promise<NameListener> {
    const listener = new NameListener(hostname, port, answer);
    try {
      listener.#udp = await Datagrams.open(hostname, listener.port, (bytes, from) => {
        listener.#answerUdp(bytes, from);
      });
    } catch (error) {
      closed(listener.#tcp);
      throw error;
    }
    listener.#serveTcp();
    return listener;
  }

  get port(): number {
    return (this.#tcp.addr as Deno.NetAddr).port;
  }

  async #answerUdp(bytes: Uint8Array, from: Peer): Promise<void> {
    if (!this.#answering.take(from.hostname)) return;
    try {
      const answer = await this.answer(from.hostname, bytes, "udp");
      if (answer) this.#udp.send(answer, from);
    } catch {
      // What cannot be recorded is not answered.
    } finally {
      this.#answering.give(from.hostname);
    }
  }

  async #serveTcp(): Promise<void> {
    for await (const connection of this.#tcp) {
      if (this.#connected.take(connection.remoteAddr.hostname)) this.#answerTcp(connection);
      else connection.close();
    }
  }

  async #answerTcp(connection: Deno.TcpConn): Promise<void> {
    this.#open.add(connection);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const idle = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => closed(connection), TCP_IDLE_MS);
    };
    try {
      for (;;) {
        idle();
        const head = await exactly(connection, 2);
        const bytes = await exactly(connection, head[0]! << 8 | head[1]!);
        clearTimeout(timer); // who waits for an answer is not idle
        const answer = await this.answer(connection.remoteAddr.hostname, bytes, "tcp");
        if (!answer) return;
        idle();
        const message = Uint8Array.from([answer.length >> 8, answer.length & 0xff, ...answer]);
        for (let at = 0; at < message.length;) at += await connection.write(message.subarray(at));
      }
    } catch {
      // The connection ended, or what it asked cannot be recorded.
    } finally {
      clearTimeout(timer);
      closed(connection);
      this.#open.delete(connection);
      this.#connected.give(connection.remoteAddr.hostname);
    }
  }

  [Symbol.dispose](): void {
    this.#udp[Symbol.dispose]();
    closed(this.#tcp);
    for (const connection of this.#open) closed(connection);
  }
}

/** How many of something each has, and all together. */
class Counts {
  readonly #each = new Map<string, number>();
  #all = 0;

  constructor(readonly most: { readonly each: number; readonly all: number }) {}

  /** Takes one, if there may be one more. */
  take(whose: string): boolean {
    const count = this.#each.get(whose) ?? 0;
    if (count >= this.most.each || this.#all >= this.most.all) return false;
    this.#each.set(whose, count + 1);
    this.#all++;
    return true;
  }

  /** Gives it back. */
  give(whose: string): void {
    const count = this.#each.get(whose)! - 1;
    if (count === 0) this.#each.delete(whose);
    else this.#each.set(whose, count);
    this.#all--;
  }
}
