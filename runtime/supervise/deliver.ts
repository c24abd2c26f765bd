import { reactor } from "../launch/reactor.ts";
import { fateOf } from "./signals.ts";

/** How long after a signal it may still turn out that it was lost. */
const LAST_LOOK_MS = 80;

/** The first process of a sandbox, as it is sent signals. */
export interface Receiver {
  readonly pid: number;
  /** Sends it a signal as it is; false if it has ended. */
  readonly send: (signal: number) => boolean;
  /** Ends it, as `signal` would end an ordinary process. */
  readonly end: (signal: number) => boolean;
  /** Owns what is waited for. */
  readonly timers: DisposableStack;
}

/**
 * Sends a signal with the effect that it has on an ordinary process: the program is pid 1, which the kernel spares from
 * signals that it does not handle, so those that would have ended it end it here.
 */
export function deliver(signal: number, receiver: Receiver): boolean {
  const fate = fateOf(receiver.pid, signal);
  if (fate === "lost") return receiver.end(signal);
  const sent = receiver.send(signal);
  if (sent && fate === "open") followUp(signal, receiver);
  return sent;
}

/** A shell blocks signals while it starts a child, and the kernel drops them when it goes on. */
function followUp(signal: number, receiver: Receiver, delayMs = 5): void {
  receiver.timers.use(reactor.after(delayMs, () => {
    const fate = fateOf(receiver.pid, signal);
    if (fate === "lost") receiver.end(signal);
    else if (fate === "open" && delayMs < LAST_LOOK_MS) followUp(signal, receiver, delayMs * 2);
  }));
}
