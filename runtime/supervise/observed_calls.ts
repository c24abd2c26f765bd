import type { Fd } from "../../ffi/fd.ts";
import { libc } from "../../ffi/libc.ts";
import { EPOLLIN, reactor, type Watch } from "../launch/reactor.ts";
import { answerNotification, isWaiting, type Notification, receiveNotification } from "./notification.ts";

/** What becomes of a call: it is made, the sandbox is killed, or it fails with an errno. */
export type Answer = "go on" | "kill" | number;

/** A call, before it is made. */
export interface ObservedCall extends Notification {
  /** Whether the caller still waits: what was read from its memory is of no use otherwise. */
  readonly isWaiting: () => boolean;
}

/** Decides over a call. */
export type Observer = (call: ObservedCall) => Answer;

/** Who decides over calls, and who ends the sandbox for one. */
export interface Judges {
  readonly observer: Observer;
  readonly kill: (call: Notification) => void;
}

/** The next call often comes at once: to wait here is cheaper than through the reactor, which needs another thread. */
const WAIT_MS = 1;
/** After so long others have their turn. */
const TURN_MS = 20;
const POLLIN = 1;

/**
 * Answers every call that a filter asks about, until nobody is left under it. Registers decide: nobody can change them
 * while a call waits. What an observer reads from memory may be another thing by the time the kernel reads it.
 *
 * @param ended Resolves when nothing of the sandbox runs any more.
 */
export function observeCalls(listener: Fd, ended: Promise<unknown>, { observer, kill }: Judges): void {
  const poll = new DataView(new ArrayBuffer(8)); // struct pollfd: fd (4), events (2), revents (2)
  poll.setInt32(0, listener.raw, true);
  poll.setInt16(4, POLLIN, true);
  const waitForNext = (): boolean =>
    libc.poll(poll.buffer, 1n, WAIT_MS) === 1 && (poll.getInt16(6, true) & POLLIN) !== 0;
  let killed = false;
  const watch: Watch = reactor.watch(listener, EPOLLIN, (events) => {
    const asks = (events & EPOLLIN) !== 0;
    const until = performance.now() + TURN_MS;
    if (asks) { do answerOne(); while (!killed && performance.now() < until && waitForNext()); }
    if (asks && !killed) return;
    watch[Symbol.dispose]();
    // Without a listener calls would return ENOSYS, and their callers go on until the end of init has reached them.
    void (killed ? ended : Promise.resolve()).then(() => listener[Symbol.dispose]());
  });
  const answerOne = (): void => {
    const call = receiveNotification(listener);
    if (!call) return; // who called is gone
    const answer = observer({ ...call, isWaiting: () => isWaiting(listener, call) });
    if (answer !== "kill") return answerNotification(listener, call, answer === "go on" ? undefined : answer);
    killed = true;
    kill(call);
  };
}
