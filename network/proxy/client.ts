import { LifecycleError } from "../../runtime/errors.ts";
import type { ControlAnswer, ControlRequest } from "./control.ts";

/** How long the proxy may take to answer, and how much it may say. */
const [ANSWER_MS, MOST_BYTES] = [10_000, 4 << 20];

/**
 * Tells the proxy what to do and waits until it has done so.
 *
 * @param socket Path of its control socket.
 * @param meanwhile What is done while it is at it; not called if there is no proxy.
 * @returns Its answer; `undefined` if there is no proxy.
 * @throws {LifecycleError} if it refuses, or does not answer.
 */
export async function tellProxy(
  socket: string,
  request: ControlRequest,
  meanwhile?: () => void,
): Promise<Omit<Extract<ControlAnswer, { ok: true }>, "ok"> | undefined> {
  let connection: Deno.UnixConn;
  try {
    connection = await Deno.connect({ transport: "unix", path: socket });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.ConnectionRefused) {
      return undefined;
    }
    throw error;
  }
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    close(connection);
  }, ANSWER_MS);
  try {
    const bytes = new TextEncoder().encode(`${JSON.stringify(request)}\n`);
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    meanwhile?.();
    const line = await readLine(connection);
    if (line === undefined) return undefined; // it has ended meanwhile
    const answer = JSON.parse(line) as ControlAnswer;
    if (!answer.ok) throw new LifecycleError(`Cannot use the network's proxy: ${answer.error}`);
    return answer;
  } catch (error) {
    if (isLate) {
      throw new LifecycleError(`Cannot use the network's proxy: it does not answer within ${ANSWER_MS} ms`);
    }
    if (error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset) {
      return undefined;
    }
    throw error;
  } finally {
    clearTimeout(timer);
    close(connection);
  }
}

function close(connection: Deno.UnixConn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error; // it is closed already
  }
}

async function readLine(connection: Deno.UnixConn): Promise<string | undefined> {
  const buffer = new Uint8Array(65_536);
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const count = await connection.read(buffer);
    if (count === null) return undefined;
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
    const end = text.indexOf("\n");
    if (end >= 0) return text.slice(0, end);
    if (text.length > MOST_BYTES) {
      throw new LifecycleError("Cannot use the network's proxy: it says too much");
    }
  }
}
