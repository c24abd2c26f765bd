import { stampAt } from "../ffi/look.ts";
import type { Stamp } from "./plan/unaided.ts";

/** A file that was changed later than this could be changed again without a trace, on kernels with a coarse clock. */
const SETTLED_MS = 50;

/**
 * How a file is now.
 *
 * @throws {Error} if it was changed just now, so that the next change may leave no trace.
 */
export function settledStamp(path: string, follow?: boolean): Stamp {
  return settled(path, stampAt(path, follow));
}

/** A stamp that tells of every change from now on. */
export function settled(path: string, stamp: Stamp): Stamp {
  const [seconds, nanoseconds] = stamp.changed;
  if (Date.now() - Number(seconds) * 1000 - Number(nanoseconds) / 1e6 >= SETTLED_MS) return stamp;
  throw new Error(`Cannot go by "${path}": it is too new`);
}
