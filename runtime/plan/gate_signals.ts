import type { Context } from "./context.ts";
import { mark, named, type Op, op, slot, type Struct, zeros } from "./op.ts";
import { GATE_FD } from "./protocol.ts";

/** What ends an ordinary process that has no handler for it: HUP, INT, QUIT, USR1, USR2, ALRM, TERM. */
const ENDS = [1, 2, 3, 10, 12, 14, 15];
const MASK = ENDS.reduce((mask, signal) => mask | (1n << BigInt(signal - 1)), 0n);
const POLLIN = 1n << 32n;
const CLOEXEC_NONBLOCK = named("SFD_CLOEXEC|SFD_NONBLOCK", 0o2004000);
/** `struct signalfd_siginfo`; it begins with the number of the signal. */
const SIGINFO_BYTES = 128;

/** Steps around the one that says that init is ready. */
export interface GateSignals {
  /** Before it: whoever knows init from then on may send it a signal at once. */
  readonly hold: readonly Op[];
  /** Behind it; they are through when the gate can be read. */
  readonly wait: readonly Op[];
}

/**
 * Lets signals end a detached init that waits to be started, as those of runc: the kernel drops what the first process of
 * a pid namespace has no handler for, but not what it blocks.
 */
export function endBySignals({ form, namespace }: Pick<Context, "form" | "namespace">): GateSignals {
  if (form !== "detached" || namespace("pid") !== "new") return { hold: [], wait: [] };
  return { hold: [...hold()], wait: [...wait()] };
}

function* hold(): Iterable<Op> {
  const does = "hold signals back";
  const mask: Struct = { struct: "sigset_t", members: [["signals", 8, MASK]] };
  yield op(does, "rt_sigprocmask", [named("SIG_BLOCK", 0), mask, 0, 8]);
  yield op(does, "signalfd4", [-1, mask, 8, CLOEXEC_NONBLOCK], { into: "signals" });
}

function* wait(): Iterable<Op> {
  const does = "wait for the start or a signal";
  yield op(does, "let", [slot("signals"), 1, POLLIN], { into: "signals:poll" });
  const polls: Struct = {
    struct: "pollfd[2]",
    members: [["gate", 8, BigInt(GATE_FD.value) | POLLIN], ["signals", 8, slot("signals:poll")]],
  };
  yield op(does, "ppoll", [polls, 2, 0, 0, 8]);
  const info = zeros(SIGINFO_BYTES, "signal");
  const told = { ignore: ["EAGAIN"], ignored: "unsignalled" } as const;
  yield op("see whether it was a signal", "read", [slot("signals"), info, SIGINFO_BYTES], told);
  yield op("end by a signal", "load", [info, 0], { into: "signal" }); // the errno behind its number is 0
  yield op("end by a signal", "let", [slot("signal"), 1, 128], { into: "signal" });
  yield op("end by a signal", "exit_group", [slot("signal")]);
  yield mark("unsignalled");
  yield op("wait for no signals any more", "close", [slot("signals")]);
  yield op("wait for no signals any more", "rt_sigprocmask", [named("SIG_SETMASK", 2), zeros(8, "{}"), 0, 8]);
}
