import { Datagrams, type Peer } from "./datagrams.ts";
import { closed, exactly } from "./upstream.ts";

const TCP_IDLE_MS = 5_000;
const TCP_AT_ONCE = 64;
const UDP_AT_ONCE = 1024;

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
  #answering = 0;

  private constructor(hostname: string, port: number, readonly answer: Answering) {
    this.#tcp = Deno.listen({ hostname, port });
  }

  /** Begins to listen. */
  static async open(hostname: string, port: number, answer: Answering): Promise<NameListener> {
    const listener = new NameListener(hostname, port, answer);
    try {
      listener.#udp = await Datagrams.open(hostname, listener.port, (bytes, from) => {
        if (listener.#answering < UDP_AT_ONCE) listener.#answerUdp(bytes, from);
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
    this.#answering++;
    try {
      const answer = await this.answer(from.hostname, bytes, "udp");
      if (answer) this.#udp.send(answer, from);
    } catch {
      // What cannot be recorded is not answered.
    } finally {
      this.#answering--;
    }
  }

  async #serveTcp(): Promise<void> {
    for await (const connection of this.#tcp) {
      if (this.#open.size >= TCP_AT_ONCE) connection.close();
      else this.#answerTcp(connection);
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
        const answer = await this.answer(connection.remoteAddr.hostname, bytes, "tcp");
        if (!answer) return;
        const message = Uint8Array.from([answer.length >> 8, answer.length & 0xff, ...answer]);
        for (let at = 0; at < message.length;) at += await connection.write(message.subarray(at));
      }
    } catch {
      // The connection ended, or what it asked cannot be recorded.
    } finally {
      clearTimeout(timer);
      closed(connection);
      this.#open.delete(connection);
    }
  }

  [Symbol.dispose](): void {
    this.#udp[Symbol.dispose]();
    closed(this.#tcp);
    for (const connection of this.#open) closed(connection);
  }
}
