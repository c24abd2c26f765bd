import { type Arg, named, type Op, op, slot, type Struct } from "./op.ts";
import { MESSAGE_BYTES, STATUS_FD } from "./protocol.ts";

const SOL_SOCKET = named("SOL_SOCKET", 1);
const SCM_RIGHTS = named("SCM_RIGHTS", 1);

/** A step that sends a message to the supervisor. */
export function message(does: string, what: number, value: Arg): Op {
  const parts: Struct = { struct: "message", members: [["what", 8, what], ["value", 8, value]] };
  return op(does, "write", [STATUS_FD, parts, MESSAGE_BYTES]);
}

/** A step that sends a message with the descriptor of slot `fd` (unix(7), SCM_RIGHTS). */
export function sendDescriptor(does: string, what: number, value: Arg, fd: string): Op {
  const body: Struct = { struct: "message", members: [["what", 8, what], ["value", 8, value]] };
  const control: Struct = {
    struct: "cmsghdr",
    members: [["len", 8, 20], ["level", 4, SOL_SOCKET], ["type", 4, SCM_RIGHTS], ["fd", 8, slot(fd)]],
  };
  const iov: Struct = { struct: "iovec", members: [["base", 8, body], ["len", 8, MESSAGE_BYTES]] };
  const header: Struct = {
    struct: "msghdr",
    members: [
      ["name", 8, 0],
      ["namelen", 8, 0],
      ["iov", 8, iov],
      ["iovlen", 8, 1],
      ["control", 8, control],
      ["controllen", 8, 24],
      ["flags", 8, 0],
    ],
  };
  return op(does, "sendmsg", [STATUS_FD, header, 0]);
}
