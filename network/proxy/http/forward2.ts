import { Refusal } from "../refusal.ts";
import { bodyWithoutSecrets, type Filled, withoutSecrets } from "../secrets.ts";
import { allowed, type Direction, TooMuch } from "../splice.ts";
import type { Place, Responder } from "./request.ts";
import type { Header, ResponseHead } from "./head.ts";
import type { Exchange2 } from "./upstream2.ts";

const RESPONSE_MS = 120_000;

/**
 * Forwards a request to a server that speaks HTTP/2: both bodies at the same time, as they come.
 *
 * @returns Whether all of the request was sent.
 */
export async function forward2(
  exchange: Exchange2,
  { pieces, used, responder, status, up, down, place, clear }: {
    readonly pieces: AsyncIterable<Uint8Array> | undefined;
    readonly used: Filled["used"];
    readonly responder: Responder;
    readonly status: (code: number) => void;
    readonly up: Direction;
    readonly down: Direction;
    readonly place: Pick<Place, "touch">;
    /** A head with placeholders where credentials stood. */
    readonly clear: (response: ResponseHead) => ResponseHead;
  },
): Promise<boolean> {
  let failed: unknown;
  const sending = (async () => {
    for await (const piece of pieces ?? []) {
      place.touch(RESPONSE_MS);
      await allowed(piece.length, up);
      await exchange.write(piece);
      up.passed(piece.length);
    }
    if (pieces) exchange.end();
  })();
  sending.catch((error) => {
    failed = error;
    if (error instanceof Refusal || error instanceof TooMuch) exchange.close();
  });
  try {
    const response = await exchange.head();
    status(response.status);
    const trailers = (): Header[] =>
      exchange.trailers.map(([name, value]) => [name, withoutSecrets(value, used)]);
    const body = counted(exchange.body(), down, place);
    const told = used.length === 0 ? body : bodyWithoutSecrets(body, used);
    await responder.respond(clear(response), response.framing, told, trailers);
    return await settledNow(sending);
  } catch (error) {
    throw failed instanceof Refusal || failed instanceof TooMuch ? failed : error;
  } finally {
    exchange.close();
  }
}

/** The pieces of a body, each when it may pass. */
export async function* counted(
  pieces: AsyncIterable<Uint8Array>,
  down: Direction,
  { touch }: Pick<Place, "touch">,
): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    touch();
    await allowed(piece.length, down);
    down.passed(piece.length);
    yield piece;
  }
}

/** Whether a promise is fulfilled already. */
export async function settledNow(promise: Promise<unknown>): Promise<boolean> {
  const later = Symbol();
  const first = await Promise.race([promise.then(() => true, () => false), Promise.resolve(later)]);
  if (first !== later) return first === true;
  // One more turn: a promise that is fulfilled needs two to say so.
  return await Promise.race([
    promise.then(() => true, () => false),
    new Promise<boolean>((r) => setTimeout(() => r(false), 0)),
  ]);
}
