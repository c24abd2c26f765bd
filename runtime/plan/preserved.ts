import { O } from "./abi.ts";
import type { Context } from "./context.ts";
import { hasStartHooks } from "./hooks.ts";
import { flags, type Op, op } from "./op.ts";
import { FIRST_FREE_FD, STATUS_FD } from "./protocol.ts";

/** The first descriptor that the program gets is numbered so. */
const FIRST_OF_PROGRAM = 3;
/** Where a step fails that comes when the program's descriptors are in their places. */
const FAILED = "fail:preserved";

/** The number of the first descriptor in the launcher and in init that is for the program. */
export function firstPreserved(context: Context): number {
  const sixth = context.idRange || (context.form === "detached" && hasStartHooks(context));
  return FIRST_FREE_FD + (sixth ? 1 : 0);
}

/**
 * Puts the program's descriptors into their places, which are ours until then. All that may fail from here on is the
 * execve: it reports through a copy of the status socket.
 */
export function* passDescriptors(context: Context): Iterable<Op> {
  const { preserved = 0 } = context;
  if (preserved === 0) return;
  const first = firstPreserved(context);
  const does = "hand descriptors to the program";
  yield op(does, "dup3", [STATUS_FD, first + preserved, flags("O_", { CLOEXEC: O.CLOEXEC })]);
  // Upwards: none is overwritten that is still to be copied.
  for (let index = 0; index < preserved; index++) {
    const rest = { failed: FAILED } as const;
    yield op(does, "dup3", [first + index, FIRST_OF_PROGRAM + index, 0], rest);
  }
}

/** The execve of a program with descriptors of its own. */
export function reporting(context: Context, execute: Op): Op {
  return context.preserved ? { ...execute, failed: FAILED } : execute;
}

/** Where {@linkcode reporting} goes on. */
export function* reportPreserved(context: Context): Iterable<Op> {
  if (!context.preserved) return;
  const status = firstPreserved(context) + context.preserved;
  yield op("report the failure", "write", [status, { address: "failed" }, 16], {
    label: FAILED,
    failed: "over",
  });
  yield op("end", "exit_group", [1], { failed: "over" });
}
