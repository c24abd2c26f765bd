import type { Fd } from "../../ffi/fd.ts";
import { openPidFd, reap, signalPidFd } from "../../ffi/process.ts";
import { holdNoSignals } from "../../ffi/signal_mask.ts";
import { isChild } from "../adopt.ts";
import { LifecycleError } from "../errors.ts";
import { EPOLLIN, reactor } from "../launch/reactor.ts";
import { nameProcess } from "../state/liveness.ts";
import type { ProcessName } from "../state/record.ts";
import { deliver } from "../supervise/deliver.ts";
import { signalNumber, SIGNALS } from "../supervise/signals.ts";
import type { StoreOptions } from "./container.ts";
import { deleteContainer } from "./delete.ts";
import { notBegun } from "./start.ts";

/** Options of {@linkcode AdoptedContainer}. */
export interface AdoptedContainerOptions extends StoreOptions {
  /** The pid of its first process, a child of this one. */
  readonly init: number;
}

/**
 * A container that another program image of this very process has made and waits for: `bin/runtime` does that without Deno,
 * and leaves it to it when a signal comes, or when more must be removed than is usual (`runtime/plan/recreate_run.ts`).
 */
export class AdoptedContainer implements AsyncDisposable {
  readonly #id: string;
  readonly #options: AdoptedContainerOptions;
  readonly #init: ProcessName;
  readonly #process: Fd;
  readonly #timers = new DisposableStack();
  #deliveredSignal: number | undefined;

  /**
   * Takes it in.
   *
   * @throws {LifecycleError} if that is no child of this process.
   */
  constructor(id: string, options: AdoptedContainerOptions) {
    const { init } = options;
    if (!isChild(init)) {
      throw new LifecycleError(`Cannot wait for process ${init}: it is no child of this one`);
    }
    this.#id = id;
    this.#options = options;
    this.#init = nameProcess(init); // as our child it keeps its number, also when it has ended
    this.#process = openPidFd(init);
  }

  /** Lets the signals through that have come meanwhile. */
  hearSignals(): void {
    holdNoSignals();
  }

  /** What is wrong if its program has not begun in time. */
  late(): LifecycleError {
    return notBegun();
  }

  /** Sends a signal with the effect that it has on an ordinary process, although the program is pid 1. */
  deliver(signal: string | number): boolean {
    const send = (number: number): boolean => signalPidFd(this.#process, number);
    const end = (number: number): boolean => {
      this.#deliveredSignal = number;
      return send(SIGNALS.SIGKILL);
    };
    const { init } = this.#options;
    return deliver(signalNumber(signal), { pid: init, send, end, timers: this.#timers });
  }

  /** Waits for the end of the program: its exit code, or 128 and the number of the signal that ended it. */
  async wait(): Promise<number> {
    await reactor.ready(this.#process, EPOLLIN);
    const { code, signal = 0 } = reap(this.#options.init, true) ?? { code: 1 };
    return code ?? 128 + (signal === SIGNALS.SIGKILL ? this.#deliveredSignal ?? signal : signal);
  }

  /** Removes the container, unless somebody else has done so: another one that has its name by now stays. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#timers.dispose();
    const { root } = this.#options;
    await deleteContainer(this.#id, { force: true, root, init: this.#init });
    this.#process[Symbol.dispose]();
  }
}
