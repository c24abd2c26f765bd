import { reactor } from "../launch/reactor.ts";
import { fateOf } from "./signals.ts";

/** How often it is looked, after the program has no longer had the signal before it, whether it was lost. */
const LOOKS = 24;
/** The pauses between looks double from the first to the longest. */
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 80;
const LONGEST_PAUSE_PENDING_MS = 1_000;

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
  if (sent && fate !== "taken") followUp(signal, receiver);
  return sent;
}

/**
 * A shell blocks signals while it starts a child, and the kernel drops them when it goes on. On a busy machine it is
 * seen between two children but seldom, so that one look, or five, do not tell.
 */
function followUp(signal: number, receiver: Receiver): void {
  let looks = LOOKS;
  let pauseMs = FIRST_PAUSE_MS;
  const look = (): Disposable =>
    reactor.after(pauseMs, () => {
      const fate = fateOf(receiver.pid, signal);
      if (fate === "lost") receiver.end(signal);
      if (fate === "open") looks--;
      if (fate === "lost" || fate === "taken" || looks === 0) return;
      pauseMs = Math.min(pauseMs * 2, fate === "pending" ? LONGEST_PAUSE_PENDING_MS : LONGEST_PAUSE_MS);
      timer = look();
    });
  let timer = look();
  receiver.timers.defer(() => timer[Symbol.dispose]());
}
