import type { RemoteInfo, Socket } from "node:dgram";

/** Where a datagram comes from or goes to. */
export interface Peer {
  readonly hostname: string;
  readonly port: number;
}

/** A socket of UDP. Deno's own is not stable yet. */
export class Datagrams implements Disposable {
  #isOpen = true;

  private constructor(readonly socket: Socket) {}

  /** Binds a socket, and hands over what comes. */
  static async open(
    hostname: string,
    port: number,
    take: (bytes: Uint8Array, from: Peer) => void,
  ): Promise<Datagrams> {
    const { createSocket } = await import("node:dgram");
    const socket = createSocket({ type: hostname.includes(":") ? "udp6" : "udp4" });
    socket.on(
      "message",
      (bytes: Uint8Array, { address, port }: RemoteInfo) => take(bytes, { hostname: address, port }),
    );
    await new Promise<void>((resolve, reject) => {
      socket.on("error", reject); // and later ones, of ICMP, are of no interest
      socket.bind(port, hostname, resolve);
    });
    return new Datagrams(socket);
  }

  get port(): number {
    return this.socket.address().port;
  }

  /** Sends; what cannot be sent is lost, as it may be on its way. */
  send(bytes: Uint8Array, { hostname, port }: Peer): void {
    if (this.#isOpen) this.socket.send(bytes, port, hostname, () => {});
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.socket.close();
  }
}
