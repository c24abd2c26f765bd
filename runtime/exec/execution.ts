import type { Fd } from "../../ffi/fd.ts";
import type { Ending } from "../../ffi/process.ts";
import type { Child } from "../launch/child.ts";
import type { Image } from "../launch/image.ts";
import { launch } from "../launch/launch.ts";
import { connect, type Ends, type StdioChoice } from "../supervise/ends.ts";
import { wasOomKilled } from "../supervise/oom.ts";
import { type Result, result } from "../supervise/result.ts";
import { signalNumber, SIGNALS } from "../supervise/signals.ts";
import { readable, writable } from "../supervise/streams.ts";
import { type Terminal, terminalOf } from "../supervise/terminal_streams.ts";

/** What an {@linkcode Execution} is begun with. */
export interface ExecutionStart {
  /** The name of the sandbox. */
  readonly id: string;
  readonly image: Image;
  /** What the launcher gets beside the usual. */
  readonly beside: readonly Fd[];
  readonly preserved?: readonly number[];
  readonly stdin?: StdioChoice | undefined;
  readonly stdout?: StdioChoice | undefined;
  readonly stderr?: StdioChoice | undefined;
  /** Runs when the child is there, before it can begin. */
  readonly watch?: (child: Child) => void;
  /** Hears that nothing of it is left. */
  readonly onGone?: (gone: Execution) => void;
  /** Hears its pid before it begins. */
  readonly onPid?: ((pid: number) => void | Promise<void>) | undefined;
}

/** One more program in a sandbox. */
export class Execution implements AsyncDisposable {
  /** The name of the sandbox that it runs in. */
  readonly id: string;
  /** What it reads, if stdin is piped. */
  readonly stdin: WritableStream<Uint8Array<ArrayBuffer>> | undefined;
  /** What it prints, if stdout is piped. */
  readonly stdout: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  /** What it complains of, if stderr is piped. */
  readonly stderr: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  readonly #child: Child;
  readonly #streams: DisposableStack;
  readonly #onGone: ExecutionStart["onGone"];
  readonly #startedMs = performance.now();
  readonly #startedAt = new Date();
  #terminal: Terminal | undefined;
  #killed = false;
  #result: Promise<Result> | undefined;

  private constructor(
    { id, onGone }: ExecutionStart,
    child: Child,
    streams: DisposableStack,
    ends: Ends,
  ) {
    this.id = id;
    this.#onGone = onGone;
    this.#child = child;
    this.#streams = streams;
    this.stdin = ends.stdin && streams.use(writable(ends.stdin)).stream;
    this.stdout = ends.stdout && streams.use(readable(ends.stdout)).stream;
    this.stderr = ends.stderr && streams.use(readable(ends.stderr)).stream;
  }

  /**
   * Begins it.
   *
   * @throws {LaunchError} if the kernel refuses a step.
   */
  static async start(options: ExecutionStart): Promise<Execution> {
    const { image, beside, preserved, stdin = "null", stdout = "piped", stderr = "piped" } = options;
    using ours = new DisposableStack();
    using theirs = new DisposableStack();
    const input = connect(stdin, 0, ours, theirs);
    const output = connect(stdout, 1, ours, theirs);
    const errors = connect(stderr, 2, ours, theirs);
    const stdio = { stdin: input.fd, stdout: output.fd, stderr: errors.fd };
    const child = launch(image, stdio, { beside, ...(preserved && { preserved }) });
    const streams = ours.move();
    const ends = { stdin: input.end, stdout: output.end, stderr: errors.end };
    const execution = new Execution(options, child, streams, ends);
    try {
      options.watch?.(child);
      if (options.onPid) {
        await child.whenReady();
        await options.onPid(child.pid);
      }
      child.start();
      await child.executed;
      execution.#openTerminal();
      return execution;
    } catch (error) {
      await execution[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Its pid as this process sees it. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Its terminal, if it has one. */
  get terminal(): Terminal | undefined {
    return this.#terminal;
  }

  /**
   * Sends it a signal; false if it has ended.
   *
   * @param signal Such as `"SIGTERM"`, `"term"` or `15`.
   */
  kill(signal: string | number = "SIGKILL"): boolean {
    const number = signalNumber(signal);
    this.#killed ||= number === SIGNALS.SIGKILL;
    return this.#child.signal(number);
  }

  /** Resolves when it has ended; what it has started may go on. */
  wait(): Promise<Result> {
    return this.#result ??= this.#child.ended.then((ending) => this.#outcome(ending));
  }

  #outcome(ending: Ending): Result {
    const unexplained = ending.signal === SIGNALS.SIGKILL && !this.#killed;
    return result(ending, {
      id: this.id,
      startedMs: this.#startedMs,
      endedMs: performance.now(),
      startedAt: this.#startedAt,
      timedOut: false,
      oomKilled: unexplained ? wasOomKilled(this.pid) : false,
    });
  }

  /** Ends it, if it still runs, and waits until it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#killed = true;
    await this.#child[Symbol.asyncDispose]();
    this.#streams.dispose();
    this.#onGone?.(this);
  }

  #openTerminal(): void {
    const fd = this.#child.terminal;
    if (!fd) return;
    this.#terminal = terminalOf(fd, this.#streams);
    this.#child.terminal = undefined; // ours from here on
  }
}
