import type { Duplex } from "node:stream";
import type { Fd } from "../../ffi/fd.ts";
import { descriptorOf } from "../../ffi/pipe.ts";
import { closed } from "../dns/upstream.ts";
import { cutLater } from "./lingering.ts";

/** A connection, whatever it runs over. */
export interface Stream {
  /** Reads into the buffer, and returns how many bytes; `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes all of it. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends the direction that is written to. */
  closeWrite(): Promise<void>;
  close(): void;
}

/** A connection of Deno's. */
export class ConnectionStream implements Stream {
  #isClosed = false;

  constructor(readonly connection: Deno.TcpConn | Deno.TlsConn) {}

  /** A copy of its descriptor, if what is on the wire is what is read and written. */
  descriptor(): Fd | undefined {
    if ("handshake" in this.connection) return undefined; // TLS
    return descriptorOf(this.connection.localAddr, this.connection.remoteAddr);
  }

  read(buffer: Uint8Array): Promise<number | null> {
    return this.connection.read(buffer);
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      at += await this.connection.write(at === 0 ? bytes : bytes.subarray(at));
    }
  }

  async closeWrite(): Promise<void> {
    try {
      await this.connection.closeWrite();
    } catch {
      // It is closed already.
    }
  }

  close(): void {
    if (!this.#isClosed && "handshake" in this.connection) {
      const { localAddr: local, remoteAddr: remote } = this.connection;
      cutLater({ local, remote });
    }
    this.#isClosed = true;
    closed(this.connection);
  }
}

/** A stream of Node's. */
export class NodeStream implements Stream {
  #ended = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(readonly node: Duplex) {
    const wake = (): void => this.#wake?.();
    node.on("readable", wake);
    node.on("end", () => (this.#ended = true, wake()));
    node.on("close", () => (this.#ended = true, wake()));
    node.on("error", (error: Error) => (this.#error = error, wake()));
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    for (;;) {
      const bytes = this.node.read() as Uint8Array | null;
      if (bytes !== null) {
        const taken = Math.min(bytes.length, buffer.length);
        buffer.set(bytes.subarray(0, taken));
        if (taken < bytes.length) this.node.unshift(bytes.subarray(taken));
        return taken;
      }
      if (this.#error) throw this.#error;
      if (this.#ended || this.node.destroyed || this.node.readableEnded) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
      this.#wake = undefined;
    }
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.node.destroyed) return Promise.reject(new Error("the connection is closed"));
    return new Promise((resolve, reject) => {
      // The bytes are another's buffer: Node may keep them.
      this.node.write(bytes.slice(), (error) => error ? reject(error) : resolve());
    });
  }

  closeWrite(): Promise<void> {
    this.node.end();
    return Promise.resolve();
  }

  close(): void {
    this.node.destroy();
  }
}
