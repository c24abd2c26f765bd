import { LifecycleError } from "../errors.ts";
import { checkMove } from "../state/moves.ts";
import { lockContainer, type StoreOptions } from "./container.ts";
import { statusOf } from "./status.ts";

/** How long the first process may take to become the program, before nobody waits for that any more. */
export const EXECUTE_MS = 10_000;

/**
 * Lets the program of a container begin, and returns when it has begun.
 *
 * @throws {LifecycleError} if the container is not one that waits to be started.
 */
export async function startContainer(id: string, options: StoreOptions = {}): Promise<void> {
  using container = await lockContainer(id, options);
  checkMove("start", statusOf(container, true), id);
  if (!container.entry.openGate(EXECUTE_MS)) {
    throw new LifecycleError("cannot start a container that has stopped");
  }
}
