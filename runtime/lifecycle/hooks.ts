import { receive } from "../../ffi/socket.ts";
import type { Fd } from "../../ffi/fd.ts";
import { errnoName } from "../../ffi/errno_names.ts";
import { LifecycleError } from "../errors.ts";
import { runPoststopHooks } from "../hooks.ts";
import type { Hooked } from "../image_of.ts";
import { HookOutput } from "../launch/hook_output.ts";
import { EPOLLIN, reactor } from "../launch/reactor.ts";
import { MESSAGE, MESSAGE_BYTES } from "../plan/protocol.ts";
import type { HookName, Hooks } from "../spec/config.ts";
import { type Known, specOf } from "./container.ts";

/** The kinds of hooks that come after `create`: a container's record names them. */
const LATER = ["startContainer", "poststart", "poststop"] as const;

/** The hooks of `hooks` that come after `create`. */
export function laterHooks(hooks: Hooks): HookName[] {
  return LATER.filter((kind) => (hooks[kind]?.length ?? 0) > 0);
}

/** The hooks of a container, and what they are told of it; nothing if there are none after `create`. */
export async function hookedOf(container: Pick<Known, "entry" | "record">): Promise<Hooked | undefined> {
  const { id, bundle, annotations, hooks: kinds = [] } = container.record;
  if (kinds.length === 0) return undefined;
  const { hooks = {} } = await specOf(container);
  return { hooks, id, bundle, annotations };
}

/** Runs the hooks behind the end of a container; what is wrong with those that fail. */
export async function poststop(container: Pick<Known, "entry" | "record">): Promise<string[]> {
  try {
    const hooked = await hookedOf(container);
    return hooked ? await runPoststopHooks(hooked) : [];
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}

/**
 * Hears from init, which was let go on, of the hooks that it runs itself, until it has become the program.
 *
 * @throws {HookError} if one fails.
 * @throws {LifecycleError} if init ends early.
 */
export async function awaitStartHooks(socket: Fd, hooks: Hooks): Promise<void> {
  using output = new HookOutput(hooks);
  let hasStarted = false;
  for (;;) {
    await reactor.ready(socket, EPOLLIN);
    for (let received = receive(socket, MESSAGE_BYTES); received !== "nothing";) {
      if (received === "end") {
        if (hasStarted) return;
        throw new LifecycleError("Cannot start the container: its first process was killed");
      }
      const [what, value] = new BigUint64Array(received.bytes.buffer);
      hasStarted ||= Number(what) === MESSAGE.started;
      const known = output.hear(Number(what), Number(value), received.fd);
      // Anything else is the address of a step that failed, and why.
      if (!known && Number(what) !== MESSAGE.started) {
        throw new LifecycleError(`Cannot start the container: ${errnoName(Number(value))}`);
      }
      received = receive(socket, MESSAGE_BYTES);
    }
  }
}
