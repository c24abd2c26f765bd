import { ByteReader } from "./bytes.ts";
import { type Framing, headEnd, type ResponseHead, responseHead } from "./http/head.ts";
import { isNew } from "./lingering.ts";
import { Refusal } from "./refusal.ts";
import { ConnectionStream, type Stream } from "./stream.ts";

const CONNECT_MS = 10_000;

/** A server to connect to: an address that was decided over, and the name for its certificate where TLS is spoken. */
export interface Server {
  readonly address: string;
  readonly port: number;
  readonly tlsName?: string;
}

/**
 * Connects to the address itself: nothing is resolved again.
 *
 * @param ended Says that nobody wants it any more.
 * @throws {Refusal} When the server cannot be reached, or its certificate is not of that name.
 */
export async function connectTo(server: Server, ended: AbortSignal): Promise<Stream> {
  return (await connectWith(server, ["http/1.1"], ended)).stream;
}

/**
 * Connects as {@linkcode connectTo} does.
 *
 * @param protocols What may be spoken in TLS; `protocol` is what the server has chosen.
 */
export async function connectWith(
  { address, port, tlsName }: Server,
  protocols: string[],
  ended: AbortSignal,
): Promise<{ readonly stream: Stream; readonly protocol: string | null }> {
  const signal = AbortSignal.any([ended, AbortSignal.timeout(CONNECT_MS)]);
  using stack = new DisposableStack();
  try {
    const connection = await Deno.connect({ hostname: address, port, signal });
    const stop = (): void => new ConnectionStream(connection).close();
    stack.defer(stop);
    connection.setNoDelay(true);
    isNew({ local: connection.localAddr, remote: connection.remoteAddr });
    if (tlsName === undefined) {
      stack.move();
      return { stream: new ConnectionStream(connection), protocol: null };
    }
    const caCerts = ownRoots();
    const tls = await Deno.startTls(connection, { hostname: tlsName, alpnProtocols: protocols, caCerts });
    const stream = new ConnectionStream(tls);
    stack.defer(() => stream.close());
    const { alpnProtocol } = await withinHandshake(tls, signal);
    stack.move();
    return { stream, protocol: alpnProtocol };
  } catch (error) {
    const cause = signal.aborted ? signal.reason : error;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Refusal("upstream:connect", `the server cannot be reached: ${why}`, 502);
  }
}

/** The handshake of TLS, unless it takes too long: a server may take a connection and say nothing. */
function withinHandshake(tls: Deno.TlsConn, signal: AbortSignal): Promise<Deno.TlsHandshakeInfo> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    tls.handshake().then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

let roots: string[] | undefined;

/** Roots that whoever started the proxy trusts beside the usual ones, in the file `SSL_CERT_FILE`. */
function ownRoots(): string[] {
  const file = Deno.env.get("SSL_CERT_FILE");
  return roots ??= file === undefined ? [] : [Deno.readTextFileSync(file)];
}

/** A connection to a server that answers requests. */
export class Upstream {
  readonly reader: ByteReader;
  /** How many responses came. */
  answered = 0;

  constructor(readonly stream: Stream) {
    this.reader = new ByteReader(stream);
  }

  /**
   * Reads the head of the next response.
   *
   * @returns Nothing if the server has closed the connection before it said anything.
   */
  async head(method: string): Promise<ResponseHead | undefined> {
    const bytes = await headOf(this.reader);
    if (bytes === undefined) return undefined;
    this.answered++;
    return responseHead(bytes, method);
  }
}

/** The bytes of the next head, taken from the reader; nothing at the end of the connection. */
export async function headOf(reader: ByteReader): Promise<Uint8Array | undefined> {
  for (let looked = 0;;) {
    const end = headEnd(reader.available, looked);
    if (end >= 0) return reader.take(end);
    looked = reader.available.length;
    if (!await reader.fill()) {
      if (looked === 0) return undefined;
      throw new Refusal("http:head", "the head ends early");
    }
  }
}

/** Framing of a message without a body. */
export const NO_BODY: Framing = { kind: "none" };
