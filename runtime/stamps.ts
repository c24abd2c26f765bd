import { stampAt } from "../ffi/look.ts";
import type { Stamp } from "./plan/unaided.ts";

/**
 * A file that was changed later than this could be changed again without a trace: on kernels with a coarse clock, and in
 * file systems that keep whole seconds (ext4 with small inodes), or every other one (FAT).
 */
const SETTLED_MS = { usual: 50, wholeSeconds: 2_050 } as const;

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
  if (isSettled(stamp.changed)) return stamp;
  throw new Error(`Cannot go by "${path}": it is too new`);
}

/** Whether a file that was last changed then cannot be changed again without a trace. */
export function isSettled([seconds, nanoseconds]: readonly [bigint, bigint | number]): boolean {
  const leastMs = Number(nanoseconds) === 0 ? SETTLED_MS.wholeSeconds : SETTLED_MS.usual;
  return Date.now() - Number(seconds) * 1000 - Number(nanoseconds) / 1e6 >= leastMs;
}
