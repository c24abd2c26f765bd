/**
 * What init asks the launcher for: a mount that is found only inside, but whose ids only the host's rights can map. Init sends
 * it over a socket, and goes on with what it has when the answer comes.
 */

import { O } from "./abi.ts";
import { receiveDescriptor, sendDescriptor } from "./message.ts";
import { mark, named, type Op, op, slot, text, zeros } from "./op.ts";
import { mapMountIds, type MountMaps, twoDescriptors } from "./userns.ts";

const OVER = "served:over";

/** Makes the socket, before init is born. */
export function* connectServed(): Iterable<Op> {
  const ends = zeros(16, "int[2]");
  const kind = named("SOCK_SEQPACKET|SOCK_CLOEXEC", 5 | O.CLOEXEC);
  yield op("make a socket to init", "socketpair", [named("AF_UNIX", 1), kind, 0, ends]);
  yield* twoDescriptors("make a socket to init", ends, "served");
}

/** The launcher's part: ends early if init does. */
export function* serve(served: Iterable<Op>): Iterable<Op> {
  const does = "hear what init asks for";
  yield op(does, "close", [slot("served:read")]);
  yield* served;
  yield mark(OVER);
  yield op(does, "close", [slot("served:write")]);
}

/** Has the launcher map the ids of the detached mount of slot `mount`. */
export function askToMap(
  does: string,
  mount: string,
  maps: MountMaps,
): { readonly served: readonly Op[]; readonly inside: readonly Op[] } {
  const [theirs, mapped, gone] = [`${mount}:theirs`, `${mount}:mapped`, `${mount}:unmapped`];
  const served = [
    ...receiveDescriptor(does, slot("served:write"), theirs, OVER),
    ...mapMountIds(does, theirs, maps),
    op(does, "close", [slot(theirs)]),
    op(does, "write", [slot("served:write"), text("m"), 1]),
  ];
  const inside = [
    // Its own copy of the launcher's end would keep it from hearing that there is none.
    op(does, "close", [slot("served:write")], { ignore: ["EBADF"] }),
    sendDescriptor(does, 0, 0, mount, slot("served:read")),
    op(does, "read", [slot("served:read"), zeros(8, "byte"), 1], { zero: gone, positive: mapped }),
    op("end, the launcher is gone", "exit_group", [1], { label: gone }),
    mark(mapped),
  ];
  return { served, inside };
}
