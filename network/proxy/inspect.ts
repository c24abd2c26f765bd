import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { Place } from "./http/request.ts";
import { serveHttp1 } from "./http/session.ts";
import { Refusal } from "./refusal.ts";
import { duplexOf } from "./duplex.ts";
import type { SandboxTraffic } from "./sandbox.ts";
import { NodeStream, type Stream } from "./stream.ts";

const HANDSHAKE_MS = 10_000;

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
      const node = duplexOf(new NodeStream(tls as unknown as Duplex), new Uint8Array(), place, false);
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
