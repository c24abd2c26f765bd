import { named, type Op, op, slot, type Struct } from "./op.ts";
import { O } from "./abi.ts";

/** Brings up `lo` of a new network namespace: it gets 127.0.0.1 and ::1 by that (netdevice(7)). */
export function* bringLoopbackUp(): Iterable<Op> {
  const does = "bring the loopback device up";
  const datagram = named("SOCK_DGRAM|SOCK_CLOEXEC", 2 | O.CLOEXEC);
  yield op(does, "socket", [named("AF_INET", 2), datagram, 0], { into: "socket" });
  const name = BigInt("lo".charCodeAt(0)) | (BigInt("lo".charCodeAt(1)) << 8n);
  const request: Struct = {
    struct: "ifreq",
    members: [["name", 8, named('"lo"', name)], ["name2", 8, 0], ["flags", 8, named("IFF_UP", 1)], [
      "rest1",
      8,
      0,
    ], ["rest2", 8, 0]],
  };
  yield op(does, "ioctl", [slot("socket"), named("SIOCSIFFLAGS", 0x8914), request]);
  yield op(does, "close", [slot("socket")]);
}
