import { type Arg, type Op, op, type Struct } from "./op.ts";
import { MESSAGE_BYTES, STATUS_FD } from "./protocol.ts";

/** A step that sends a message to the supervisor. */
export function message(does: string, what: number, value: Arg): Op {
  const parts: Struct = { struct: "message", members: [["what", 8, what], ["value", 8, value]] };
  return op(does, "write", [STATUS_FD, parts, MESSAGE_BYTES]);
}
