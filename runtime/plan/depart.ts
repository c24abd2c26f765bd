import { SIGKILL } from "./kernel.ts";
import { message } from "./message.ts";
import { type Op, op, slot } from "./op.ts";
import { MESSAGE } from "./protocol.ts";

/** Tells who init is, does what that asks for, and leaves it to itself: unless nobody is there to write that down. */
export function* depart(served: Iterable<Op> = []): Iterable<Op> {
  yield { ...message("report init", MESSAGE.cloned, slot("init:pid")), failed: "unknown" };
  yield* served;
  yield op("end", "exit_group", [0]);
  yield op("end init, nobody knows of it", "pidfd_send_signal", [slot("init:pidfd"), SIGKILL, 0, 0], {
    label: "unknown",
    ignore: ["ESRCH"],
  });
  yield op("end", "exit_group", [1]);
}
