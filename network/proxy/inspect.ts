import { Duplex } from "node:stream";
import { Buffer } from "node:buffer";
import type { TLSSocket } from "node:tls";
import type { Place } from "./http/exchange.ts";
import { serveHttp1 } from "./http/session.ts";
import { Refusal } from "./refusal.ts";
import type { SandboxTraffic } from "./sandbox.ts";
import { NodeStream, type Stream } from "./stream.ts";

const HANDSHAKE_MS = 10_000;
const PIECE_BYTES = 65536;

/** Opens TLS by a certificate of the sandbox's own authority, and decides over the requests in it. */
export async function serveOpened(
  traffic: SandboxTraffic,
  { stream, first, place, name }: {
    readonly stream: Stream;
    readonly first: Uint8Array;
    readonly place: Place;
    readonly name: string;
  },
): Promise<void> {
  const { authority } = traffic;
  if (!authority) throw new Refusal("tls:authority", "there is no authority for this sandbox", 502);
  const { TLSSocket } = await import("node:tls");
  const { key, certificate } = authority.leaf(name);
  const options = {
    isServer: true,
    key,
    cert: certificate,
    ALPNProtocols: ["h2", "http/1.1"],
    minVersion: "TLSv1.2",
  };
  const tls = new TLSSocket(duplexOf(stream, first, place) as never, options as never);
  try {
    await handshake(tls, place);
    if (tls.alpnProtocol === "h2") {
      // Node's HTTP/2 takes a socket of TLS for one of its own making, which this is not.
      const node = duplexOf(new NodeStream(tls as unknown as Duplex), new Uint8Array(), place);
      await (await import("./http/session2.ts")).serveHttp2(traffic, { node, place });
    } else {
      const clear = new NodeStream(tls as unknown as Duplex);
      await serveHttp1(traffic, { stream: clear, first: new Uint8Array(), place });
    }
  } finally {
    tls.destroy();
  }
}

function handshake(tls: TLSSocket, place: Place): Promise<void> {
  place.touch(HANDSHAKE_MS);
  return new Promise((resolve, reject) => {
    tls.on("secure", () => resolve());
    tls.on(
      "error",
      (error) =>
        reject(new Refusal("tls:handshake", `the sandbox ends the handshake: ${error.message}`, 502)),
    );
    tls.on("close", () => reject(new Refusal("tls:handshake", "the sandbox ends the handshake", 502)));
  });
}

/** A connection as a stream of Node's, with bytes that came before. It reads no more than is taken. */
export function duplexOf(stream: Stream, first: Uint8Array, place: Pick<Place, "touch">): Duplex {
  let before: Uint8Array | undefined = first.length > 0 ? first.slice() : undefined;
  return new Duplex({
    read(): void {
      if (before) {
        this.push(Buffer.from(before));
        before = undefined;
        return;
      }
      const buffer = Buffer.alloc(PIECE_BYTES);
      stream.read(buffer).then(
        (count) => {
          place.touch();
          this.push(count === null ? null : buffer.subarray(0, count));
        },
        (error) => this.destroy(error),
      );
    },
    write(chunk, _encoding, done): void {
      stream.write(chunk).then(() => done(), done);
    },
    final(done): void {
      stream.closeWrite().then(() => done(), done);
    },
    destroy(error, done): void {
      stream.close();
      done(error);
    },
  });
}
