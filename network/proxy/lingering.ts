import { cutConnections, type Ends, keyOfEnds } from "../../ffi/pipe.ts";

/** How long a connection with TLS may take to say what is left to say, once it is closed. */
const LINGER_MS = 5_000;

const closing = new Map<string, Ends>();
/** Those that were there when the time began. */
let late: Ends[] = [];
let isWatched = false;

/**
 * Cuts a connection with TLS that is closed, if it is still there after a while: Deno goes on with it behind our back
 * until the other side has taken what was written, or has spoken in the handshake, which it may never do.
 */
export function cutLater(ends: Ends): void {
  closing.set(keyOfEnds(ends), ends);
  if (!isWatched) watch();
}

/** A new connection has these ends: the one before it is no more. */
export function isNew(ends: Ends): void {
  if (closing.delete(keyOfEnds(ends))) late = late.filter((each) => keyOfEnds(each) !== keyOfEnds(ends));
}

function watch(): void {
  isWatched = true;
  late = [...closing.values()];
  Deno.unrefTimer(setTimeout(() => {
    isWatched = false;
    for (const each of late) closing.delete(keyOfEnds(each));
    cutConnections(late);
    if (closing.size > 0) watch();
    else late = [];
  }, LINGER_MS));
}
