import type { Child } from "../launch/child.ts";
import { nameProcess } from "../state/liveness.ts";
import type { ProcessName } from "../state/record.ts";
import { deliver } from "../supervise/deliver.ts";
import { signalNumber, SIGNALS } from "../supervise/signals.ts";
import { type Terminal, terminalOf } from "../supervise/terminal_streams.ts";
import { createChild, createContainer, type CreateOptions } from "./create.ts";
import { deleteContainer } from "./delete.ts";
import { startContainer, type StartOptions } from "./start.ts";

/** What a container is made from that this process stays with. */
export interface AttachOptions extends Omit<CreateOptions, "consoleSocket">, Omit<StartOptions, "init"> {
  /** Whether it is there still when its program has ended. */
  readonly keep?: boolean;
}

/**
 * A container that this process waits for, and removes when it is disposed of. Its stdin, stdout and stderr are those of
 * this process, and other commands find it by its id. Its program ends with this process.
 *
 * @example
 * ```ts
 * import { AttachedContainer } from "../../mod.ts";
 * async function run(bundle: string): Promise<number> {
 *   await using container = await AttachedContainer.create("box1", { bundle });
 *   await container.start();
 *   return await container.wait();
 * }
 * ```
 */
export class AttachedContainer implements AsyncDisposable {
  readonly #id: string;
  readonly #options: AttachOptions;
  readonly #init: ProcessName;
  readonly #child: Child;
  readonly #streams = new DisposableStack();
  #isKept = false;
  #deliveredSignal: number | undefined;
  /** The program's terminal, if it has one. */
  readonly terminal: Terminal | undefined;

  private constructor(id: string, init: ProcessName, options: AttachOptions, child: Child) {
    this.#id = id;
    this.#init = init;
    this.#options = options;
    this.#child = child;
    child.leaveGate();
    this.terminal = child.terminal && terminalOf(child.terminal, this.#streams);
    child.terminal = undefined; // ours from here on
  }

  /** Makes a container, whose program waits to be started; throws as `createContainer` does. */
  static async create(id: string, options: AttachOptions): Promise<AttachedContainer> {
    const noted = new Noted(options);
    const child = await createChild(id, noted.options, { attached: true });
    return new AttachedContainer(id, noted.init, options, child);
  }

  /** Lets the program begin; throws as `startContainer` does, and `LaunchError` if it cannot be executed. */
  async start(): Promise<void> {
    await startContainer(this.#id, { ...this.#options, init: this.#init });
    await this.#child.executed;
  }

  /** Waits for the end of the program: its exit code, or 128 and the number of the signal that ended it. */
  async wait(): Promise<number> {
    const { code, signal = 0 } = await this.#child.ended;
    this.#isKept = this.#options.keep ?? false;
    return code ?? 128 + (signal === SIGNALS.SIGKILL ? this.#deliveredSignal ?? signal : signal);
  }

  /** Sends a signal with the effect that it has on an ordinary process, although the program is pid 1. */
  deliver(signal: string | number): boolean {
    const send = (number: number): boolean => this.#child.signal(number);
    const end = (number: number): boolean => {
      this.#deliveredSignal = number;
      return send(SIGNALS.SIGKILL);
    };
    return deliver(signalNumber(signal), { pid: this.#child.pid, send, end, timers: this.#streams });
  }

  /**
   * Removes the container, unless somebody else has done so, or it is to be kept: another one that has its name by now
   * stays.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#streams.dispose();
    const { root, onWarning = () => {} } = this.#options;
    const options = { root, onWarning, init: this.#init, force: true };
    if (!this.#isKept) await deleteContainer(this.#id, options);
  }
}

/**
 * Makes a container and lets its program begin: it goes on without this process. One that cannot begin is removed.
 *
 * @throws as `createContainer` and `startContainer` do.
 */
export async function runContainer(
  id: string,
  options: CreateOptions & Omit<StartOptions, "init">,
): Promise<void> {
  const noted = new Noted(options);
  await createContainer(id, noted.options);
  const { root, onWarning = () => {} } = options;
  const { init } = noted;
  try {
    await startContainer(id, { ...options, init });
  } catch (error) {
    await deleteContainer(id, { root, onWarning, init, force: true });
    throw error;
  }
}

/** Notes which container is made: its name may be another one's before we are done with it. */
class Noted {
  readonly options: CreateOptions;
  #init: ProcessName | undefined;

  constructor(options: CreateOptions) {
    const onPid = async (pid: number): Promise<void> => {
      await options.onPid?.(pid);
      this.#init = nameProcess(pid);
    };
    this.options = { ...options, onPid };
  }

  /** Its first process, when it is made. */
  get init(): ProcessName {
    return this.#init!;
  }
}
