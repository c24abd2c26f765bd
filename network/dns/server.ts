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
  readonly #udp: Deno.DatagramConn;
  readonly #tcp: Deno.Listener<Deno.TcpConn>;
  readonly #open = new Set<Deno.Conn>();
  #answering = 0;

  constructor(hostname: string, port: number, readonly answer: Answering) {
    this.#udp = Deno.listenDatagram({ transport: "udp", hostname, port });
    this.#tcp = Deno.listen({ hostname, port: this.port });
    this.#serveUdp();
    this.#serveTcp();
  }

  get port(): number {
    return (this.#udp.addr as Deno.NetAddr).port;
  }

  async #serveUdp(): Promise<void> {
    for (;;) {
      let message: [Uint8Array<ArrayBuffer>, Deno.Addr];
      try {
        message = await this.#udp.receive();
      } catch (error) {
        if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return;
        continue; // an ICMP error of an earlier answer
      }
      if (this.#answering < UDP_AT_ONCE) this.#answerUdp(message[0], message[1] as Deno.NetAddr);
    }
  }

  async #answerUdp(bytes: Uint8Array<ArrayBuffer>, from: Deno.NetAddr): Promise<void> {
    this.#answering++;
    try {
      const answer = await this.answer(from.hostname, bytes, "udp");
      if (answer) await this.#udp.send(answer, from);
    } catch {
      // What cannot be recorded or sent is not answered.
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
    closed(this.#udp);
    closed(this.#tcp);
    for (const connection of this.#open) closed(connection);
  }
}
