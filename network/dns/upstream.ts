import { type Answer, queryBytes, readAnswer } from "./answer.ts";
import { Datagrams } from "./datagrams.ts";

const TIMEOUT_MS = 2_000;
const ROUNDS = 2;
const MOST_MESSAGE_BYTES = 65535;

/** A name server: where it listens. */
export interface NameServer {
  readonly address: string;
  readonly port: number;
}

/** A question that goes upstream. */
interface Asked {
  readonly id: number;
  readonly name: string;
  readonly type: number;
}

/** Name servers as `address`, `address:port` or `[address]:port`. */
export function nameServers(texts: readonly string[]): NameServer[] {
  return texts.map((text) => {
    const [, v6, v6Port] = /^\[([^\]]+)\](?::(\d+))?$/.exec(text) ?? [];
    if (v6 !== undefined) return { address: v6, port: Number(v6Port ?? 53) };
    const [address, port] = text.split(":").length === 2 ? text.split(":") : [text, "53"];
    return { address: address!, port: Number(port) };
  });
}

/** The name servers of the host. To wait for such a short file would take longer than to read it. */
export function hostNameServers(path = "/etc/resolv.conf"): NameServer[] {
  const text = textOf(path);
  const found = [...text.matchAll(/^\s*nameserver\s+([0-9a-fA-F.:]+)\s*$/gm)].map(([, address]) => address!);
  return found.map((address) => ({ address, port: 53 }));
}

function textOf(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

/**
 * Asks the servers in turn, each question from a port of its own and under a number that nobody can guess.
 *
 * @throws {Error} When none answers.
 */
export async function askUpstream(
  servers: readonly NameServer[],
  name: string,
  type: number,
): Promise<Answer> {
  let last: unknown = new Error("there is no name server");
  for (let round = 0; round < ROUNDS; round++) {
    for (const server of servers) {
      try {
        const asked = { id: crypto.getRandomValues(new Uint16Array(1))[0]!, name, type };
        const answer = await byUdp(server, asked);
        return answer === "cut" ? await byTcp(server, asked) : answer;
      } catch (error) {
        last = error;
      }
    }
  }
  throw new Error(`Cannot resolve "${name}": no name server answers`, { cause: last });
}

async function byUdp(server: NameServer, asked: Asked): Promise<Answer | "cut"> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer | "cut">();
  const hostname = server.address.includes(":") ? "::" : "0.0.0.0";
  using socket = await Datagrams.open(hostname, 0, (bytes, from) => {
    if (from.hostname !== server.address || from.port !== server.port) return; // of somebody who guesses
    try {
      const answer = readAnswer(bytes, asked);
      if (answer !== undefined) resolve(answer);
    } catch (error) {
      reject(error);
    }
  });
  const timer = setTimeout(() => reject(new Error("the server is silent")), TIMEOUT_MS);
  try {
    socket.send(queryBytes(asked.id, asked.name, asked.type), {
      hostname: server.address,
      port: server.port,
    });
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

async function byTcp(server: NameServer, asked: Asked): Promise<Answer> {
  const connection = await Deno.connect({
    hostname: server.address,
    port: server.port,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const timer = setTimeout(() => closed(connection), TIMEOUT_MS);
  try {
    const query = queryBytes(asked.id, asked.name, asked.type);
    const message = Uint8Array.from([query.length >> 8, query.length & 0xff, ...query]);
    for (let at = 0; at < message.length;) at += await connection.write(message.subarray(at));
    const head = await exactly(connection, 2);
    const answer = readAnswer(
      await exactly(connection, Math.min(head[0]! << 8 | head[1]!, MOST_MESSAGE_BYTES)),
      asked,
    );
    if (answer === undefined || answer === "cut") throw new Error("the answer is to something else");
    return answer;
  } finally {
    clearTimeout(timer);
    closed(connection);
  }
}

/** So many bytes of a connection. */
export async function exactly(connection: Deno.Conn, count: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count;) {
    const read = await connection.read(bytes.subarray(at));
    if (read === null) throw new Error("the connection ended early");
    at += read;
  }
  return bytes;
}

/** Closes what may have been closed by a timer. */
export function closed(socket: { close(): void }): void {
  try {
    socket.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}
