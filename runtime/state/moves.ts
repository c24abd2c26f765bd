import { LifecycleError } from "../errors.ts";
import type { StateStatus } from "../spec/state.ts";

/** What can be done to a container. */
export type Move = "exec" | "start" | "pause" | "resume" | "update" | "kill" | "delete";

/** From where a move is allowed, and what is said elsewhere; engines know these words. */
const MOVES: Readonly<
  Record<Move, { from: readonly StateStatus[]; otherwise: (status: StateStatus, id: string) => string }>
> = {
  exec: { from: ["created", "running"], otherwise: (status) => NOT_ENTERED[status] },
  start: { from: ["created"], otherwise: (status) => NOT_STARTED[status] },
  pause: { from: ["created", "running"], otherwise: () => "container not running" },
  resume: { from: ["paused"], otherwise: () => "container not paused" },
  update: { from: ["created", "running", "paused"], otherwise: () => "container not running" },
  kill: { from: ["created", "running", "paused"], otherwise: () => "container not running" },
  delete: {
    from: ["stopped", "created"],
    otherwise: (status, id) => `cannot delete container ${id} that is not stopped: ${status}`,
  },
};

const NOT_ENTERED: Readonly<Record<StateStatus, string>> = {
  creating: "cannot exec in a container that is still being created",
  created: "",
  running: "",
  paused: "cannot exec in a paused container (use --ignore-paused to override)",
  stopped: "cannot exec in a stopped container",
};

const NOT_STARTED: Readonly<Record<StateStatus, string>> = {
  creating: "cannot start a container that is still being created",
  created: "",
  running: "cannot start an already running container",
  paused: "cannot start a container in the paused state",
  stopped: "cannot start a container that has stopped",
};

/**
 * Refuses a move that makes no sense now.
 *
 * @throws {LifecycleError} in runc's words.
 */
export function checkMove(move: Move, status: StateStatus, id: string): void {
  const { from, otherwise } = MOVES[move];
  if (!from.includes(status)) throw new LifecycleError(otherwise(status, id));
}
