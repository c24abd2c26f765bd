import { Fd } from "../ffi/fd.ts";
import { kill, openPidFd, reap, signalPidFd } from "../ffi/process.ts";
import { holdNoSignals } from "../ffi/signal_mask.ts";
import { LifecycleError } from "./errors.ts";
import { EPOLLIN, reactor } from "./launch/reactor.ts";
import { deliver } from "./supervise/deliver.ts";
import { wasOomKilled } from "./supervise/oom.ts";
import { type Result, result } from "./supervise/result.ts";
import { signalNumber, SIGNALS } from "./supervise/signals.ts";

/** What another program image of this very process has started: two children of ours, and a descriptor. */
export interface Adopted {
  /** The program of a sandbox. */
  readonly init: number;
  /** Its guard. */
  readonly guard: number;
  /** The gate, whose end tells the guard of ours. */
  readonly gate: number;
}

/** A sandbox that runs already: `bin/runtime` starts some without Deno, and leaves them to it (`runtime/plan/rerun.ts`). */
export class AdoptedSandbox implements AsyncDisposable {
  readonly #adopted: Adopted;
  readonly #gate: Fd;
  readonly #process: Fd;
  readonly #timers = new DisposableStack();
  readonly #started = { startedMs: performance.now(), startedAt: new Date() };
  #deliveredSignal: number | undefined;
  #isReaped = false;

  /**
   * Takes them in.
   *
   * @throws {LifecycleError} if these are no children of this process.
   */
  constructor(adopted: Adopted) {
    for (const pid of [adopted.init, adopted.guard]) {
      if (!isChild(pid)) {
        throw new LifecycleError(`Cannot supervise process ${pid}: it is no child of this one`);
      }
    }
    this.#adopted = adopted;
    this.#gate = new Fd(adopted.gate);
    this.#process = openPidFd(adopted.init);
  }

  /** Lets the signals through that have come meanwhile. */
  hearSignals(): void {
    holdNoSignals();
  }

  /** Sends a signal with the effect that it has on an ordinary process, although the program is pid 1. */
  deliver(signal: string | number): boolean {
    const send = (number: number): boolean => signalPidFd(this.#process, number);
    const end = (number: number): boolean => {
      this.#deliveredSignal = number;
      return send(SIGNALS.SIGKILL);
    };
    return deliver(signalNumber(signal), { pid: this.#adopted.init, send, end, timers: this.#timers });
  }

  /** Resolves when the program has ended. Its times are those since it was adopted. */
  async wait(): Promise<Result> {
    await reactor.ready(this.#process, EPOLLIN);
    const { init } = this.#adopted;
    this.#isReaped = true;
    const ending = reap(init, true) ?? { code: 1, userMs: 0, systemMs: 0, peakMemoryBytes: 0 };
    this.#timers.dispose();
    const unexplained = ending.signal === SIGNALS.SIGKILL && this.#deliveredSignal === undefined;
    return result(ending, {
      id: String(init),
      ...this.#started,
      endedMs: performance.now(),
      timedOut: false,
      oomKilled: unexplained ? wasOomKilled(init) : false,
      deliveredSignal: this.#deliveredSignal,
    });
  }

  /** Ends the program, if it still runs, and its guard. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isReaped) {
      signalPidFd(this.#process, SIGNALS.SIGKILL);
      await this.wait();
    }
    this.#process[Symbol.dispose]();
    this.#gate[Symbol.dispose]();
    kill(this.#adopted.guard, SIGNALS.SIGKILL);
    reap(this.#adopted.guard, true);
  }
}

/** Whether it is a child of this process. */
export function isChild(pid: number): boolean {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] === String(Deno.pid);
  } catch {
    return false;
  }
}
