import { SyscallError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { readSome, tryConnect, writeSome } from "../../ffi/socket.ts";
import { LifecycleError } from "../../runtime/errors.ts";
import { EPOLLIN, EPOLLOUT, reactor } from "../../runtime/launch/reactor.ts";
import type { ControlAnswer, ControlRequest } from "./control.ts";

/** How long the proxy may take to answer, and how much it may say. */
const [ANSWER_MS, MOST_BYTES] = [10_000, 4 << 20];
/** How much of its answer is read at a time: most are one word. */
const READ_BYTES = 4096;
/** How long somebody waits who finds too many others waiting. */
const PAUSE_MS = 5;
const GONE: readonly number[] = [32, 104]; // EPIPE, ECONNRESET

/**
 * Tells the proxy what to do and waits until it has done so. It is told before this returns for the first time, while the
 * caller goes on.
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
  const endMs = performance.now() + ANSWER_MS;
  let found = tryConnect(socket);
  for (; found === "busy"; found = tryConnect(socket)) await pause(endMs);
  if (found === "nobody") return undefined;
  using connection = found;
  let line: string | undefined;
  try {
    const bytes = new TextEncoder().encode(`${JSON.stringify(request)}\n`);
    for (let at = writeSome(connection, bytes); at < bytes.length;) {
      await until(connection, EPOLLOUT, endMs);
      at += writeSome(connection, bytes.subarray(at));
    }
    meanwhile?.();
    line = await readLine(connection, endMs);
  } catch (error) {
    if (!(error instanceof SyscallError && GONE.includes(error.errno))) throw error;
  }
  if (line === undefined) return undefined; // it has ended meanwhile
  const answer = JSON.parse(line) as ControlAnswer;
  if (!answer.ok) throw new LifecycleError(`Cannot use the network's proxy: ${answer.error}`);
  return answer;
}

async function readLine(connection: Fd, endMs: number): Promise<string | undefined> {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const bytes = readSome(connection, READ_BYTES);
    if (bytes === undefined) {
      await until(connection, EPOLLIN, endMs);
      continue;
    }
    if (bytes.length === 0) return undefined;
    text += decoder.decode(bytes, { stream: true });
    const end = text.indexOf("\n");
    if (end >= 0) return text.slice(0, end);
    if (text.length > MOST_BYTES) {
      throw new LifecycleError("Cannot use the network's proxy: it says too much");
    }
  }
}

async function pause(endMs: number): Promise<void> {
  if (performance.now() > endMs) throw late();
  await new Promise<void>((resolve) => reactor.after(PAUSE_MS, resolve));
}

/** Waits for an event. */
function until(connection: Fd, event: number, endMs: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const watch = reactor.watch(connection, event, () => {
    stop();
    resolve();
  });
  const timer = reactor.after(Math.max(1, endMs - performance.now()), () => {
    stop();
    reject(late());
  });
  const stop = (): void => {
    for (const each of [watch, timer]) each[Symbol.dispose]();
  };
  return promise;
}

function late(): LifecycleError {
  return new LifecycleError(`Cannot use the network's proxy: it does not answer within ${ANSWER_MS} ms`);
}
