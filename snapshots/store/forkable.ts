import { forkContainers, type ForkOptions, type ForkOutcome } from "../fork.ts";
import type { Snapshot } from "./store.ts";

/** A snapshot of the store from which containers can be made. */
export interface ForkableSnapshot extends Snapshot {
  /**
   * Makes containers that go on from it, as {@linkcode forkContainers} does.
   *
   * @returns What became of each, in the order of their numbers.
   */
  fork(options?: ForkOptions): Promise<ForkOutcome[]>;
}

/** The snapshot with `fork()`, which is no enumerable property: it is not written with the others. */
export function forkable(snapshot: Snapshot): ForkableSnapshot {
  const fork: ForkableSnapshot["fork"] = (options) => forkContainers({ snapshot }, options);
  const made: ForkableSnapshot = { ...snapshot, fork };
  return Object.defineProperty(made, "fork", { enumerable: false });
}
