import { type Arg, type Bytes, named, type Op, op, slot, type Struct, zeros } from "./op.ts";
import { MESSAGE_BYTES, STATUS_FD } from "./protocol.ts";

const SOL_SOCKET = named("SOL_SOCKET", 1);
const SCM_RIGHTS = named("SCM_RIGHTS", 1);
const MSG_CMSG_CLOEXEC = named("MSG_CMSG_CLOEXEC", 0x40000000);
const CONTROL_BYTES = 24;

/** A step that sends a message to the supervisor. */
export function message(does: string, what: number, value: Arg): Op {
  const parts: Struct = { struct: "message", members: [["what", 8, what], ["value", 8, value]] };
  return op(does, "write", [STATUS_FD, parts, MESSAGE_BYTES]);
}

/** A step that sends a message with the descriptor of slot `fd` to the supervisor, or another socket (unix(7), SCM_RIGHTS). */
export function sendDescriptor(
  does: string,
  what: number,
  value: Arg,
  fd: string,
  socket: Arg = STATUS_FD,
): Op {
  const body: Struct = { struct: "message", members: [["what", 8, what], ["value", 8, value]] };
  const control: Struct = {
    struct: "cmsghdr",
    members: [["len", 8, 20], ["level", 4, SOL_SOCKET], ["type", 4, SCM_RIGHTS], ["fd", 8, slot(fd)]],
  };
  const header = headerOf(body, control);
  return op(does, "sendmsg", [socket, header, 0]);
}

/** Takes the descriptor of such a message to slot `into`; goes on with `over` if nobody is there to send one. */
export function* receiveDescriptor(does: string, socket: Arg, into: string, over: string): Iterable<Op> {
  const body: Bytes = zeros(MESSAGE_BYTES, "message");
  const control: Bytes = zeros(CONTROL_BYTES, "cmsghdr");
  const header = headerOf(body, control);
  yield op(does, "recvmsg", [socket, header, MSG_CMSG_CLOEXEC], { zero: over });
  yield op(does, "load", [{ inside: control, offset: 16 }, 0], { into });
}

/** `struct msghdr` of one message and what comes with it. */
function headerOf(body: Struct | Bytes, control: Struct | Bytes): Struct {
  const iov: Struct = { struct: "iovec", members: [["base", 8, body], ["len", 8, MESSAGE_BYTES]] };
  return {
    struct: "msghdr",
    members: [
      ["name", 8, 0],
      ["namelen", 8, 0],
      ["iov", 8, iov],
      ["iovlen", 8, 1],
      ["control", 8, control],
      ["controllen", 8, CONTROL_BYTES],
      ["flags", 8, 0],
    ],
  };
}
