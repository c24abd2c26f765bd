import { type Fd, open, pipe } from "../ffi/fd.ts";
import { type Bundle, loadBundle, type OverlayChoice, request } from "./bundle.ts";
import { type Command, commandSpec } from "./command.ts";
import { LifecycleError } from "./errors.ts";
import type { Host } from "./host/facts.ts";
import { probeHost } from "./host/probe.ts";
import { assemble, type Image } from "./launch/image.ts";
import { type Child, launch } from "./launch/launch.ts";
import type { PlanRequest } from "./plan/context.ts";
import { plan } from "./plan/plan.ts";
import { rootless } from "./rootless.ts";
import { compileFilter } from "./seccomp.ts";
import type { Mount, Spec } from "./spec/config.ts";
import { type Result, result } from "./supervise/result.ts";
import { isLostOnInit, signalNumber, SIGNALS } from "./supervise/signals.ts";
import { readable, writable } from "./supervise/streams.ts";
import { resizeTerminal, type TerminalSize } from "./supervise/terminal.ts";

/** What one of stdin, stdout and stderr is connected to: ours, a stream of the sandbox object, or nothing. */
export type StdioChoice = "inherit" | "piped" | "null";

/** What to run, and how. */
export interface SandboxOptions {
  /** An OCI bundle: its directory, or what {@linkcode loadBundle} made of it. One of `bundle` and `command` is given. */
  readonly bundle?: string | Bundle;
  /** A program with its arguments, run in a sandbox made for it. */
  readonly command?: readonly string[];
  /** Its name. @default made up */
  readonly id?: string;
  /** @default {"null"} */
  readonly stdin?: StdioChoice;
  /** @default {"piped"} */
  readonly stdout?: StdioChoice;
  /** @default {"piped"} */
  readonly stderr?: StdioChoice;
  /** Kills the sandbox this long after its start. */
  readonly timeoutMs?: number;
  /** More environment, as `NAME=value`. */
  readonly env?: readonly string[];
  /** Working directory inside. */
  readonly cwd?: string;
  /** More mounts, as in config.json. */
  readonly mounts?: readonly Mount[];
  /** A directory of the host to show read-only at the same path; for `command` only. */
  readonly share?: string;
  /** Whether the program gets a terminal of its own. @default as the bundle says */
  readonly terminal?: boolean;
  /** What lies over the root file system; `command` always has a root in memory. @default {"tmpfs"} */
  readonly overlay?: OverlayChoice;
}

/** The terminal of a sandbox, from outside. */
export interface Terminal {
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly writable: WritableStream<Uint8Array<ArrayBuffer>>;
  /** Gives it another size; the programs in it get SIGWINCH. */
  resize(size: TerminalSize): void;
}

/** Who is to run a plan, if not the calling process. */
export interface Preparation {
  readonly form: PlanRequest["form"];
  readonly caller?: Pick<Host, "uid" | "gid" | "privileged">;
}

/**
 * What the plan for `options` is made from, without running anything.
 *
 * @throws {SpecError} with every problem of the bundle.
 */
export function prepare(
  options: SandboxOptions,
  { form, caller }: Preparation = { form: "supervised" },
): PlanRequest {
  const host = probeHost(caller);
  const { bundle, command } = options;
  if ((bundle === undefined) === (command === undefined)) {
    throw new TypeError("Cannot make a sandbox: give it either a bundle or a command");
  }
  if (command !== undefined) {
    const { spec, root } = commandSpec(commandOf(command, options), host);
    const made = { path: "/", spec: rootless(spec, host) };
    return request(made, { host, overlay: { kind: "none" }, root, form });
  }
  const loaded = typeof bundle === "string" ? loadBundle(bundle) : bundle!;
  const spec = rootless(withOptions(loaded.spec, options), host);
  const filter = spec.linux?.seccomp && compileFilter(spec.linux.seccomp, host);
  return request({ ...loaded, spec }, { host, overlay: options.overlay ?? { kind: "tmpfs" }, filter, form });
}

function commandOf(args: readonly string[], { env, cwd, mounts, share, terminal }: SandboxOptions): Command {
  return {
    args,
    ...(env && { env }),
    ...(cwd !== undefined && { cwd }),
    ...(mounts && { mounts }),
    ...(share !== undefined && { share }),
    ...(terminal !== undefined && { terminal }),
  };
}

function withOptions(spec: Spec, { env, cwd, mounts, terminal }: SandboxOptions): Spec {
  if (!spec.process || (!env && cwd === undefined && !mounts && terminal === undefined)) return spec;
  return {
    ...spec,
    mounts: [...(spec.mounts ?? []), ...(mounts ?? [])],
    process: {
      ...spec.process,
      env: [...(spec.process.env ?? []), ...(env ?? [])],
      ...(cwd !== undefined && { cwd }),
      ...(terminal !== undefined && { terminal }),
    },
  };
}

/**
 * A program in a sandbox of its own.
 *
 * @example Run a program and take its output
 * ```ts
 * import { Sandbox } from "../mod.ts";
 * await using sandbox = await Sandbox.create({ command: ["echo", "hello"] });
 * sandbox.start();
 * console.log(await new Response(sandbox.stdout).text()); // "hello\n"
 * console.log((await sandbox.wait()).exitCode); // 0
 * ```
 */
export class Sandbox implements AsyncDisposable {
  /** Its name. */
  readonly id: string;
  /** What the program reads, if stdin is piped. */
  readonly stdin: WritableStream<Uint8Array<ArrayBuffer>> | undefined;
  /** What the program prints, if stdout is piped. */
  readonly stdout: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  /** What the program complains of, if stderr is piped. */
  readonly stderr: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  readonly #child: Child;
  readonly #timeoutMs: number | undefined;
  #terminal: Terminal | undefined;
  #terminalFd: Fd | undefined;
  #startedMs: number | undefined;
  #startedAt = new Date(0);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timedOut = false;
  #deliveredSignal: number | undefined;
  #result: Promise<Result> | undefined;

  private constructor(id: string, child: Child, ends: Ends, timeoutMs: number | undefined) {
    this.id = id;
    this.#child = child;
    this.#timeoutMs = timeoutMs;
    this.stdin = ends.stdin && writable(ends.stdin);
    this.stdout = ends.stdout && readable(ends.stdout);
    this.stderr = ends.stderr && readable(ends.stderr);
  }

  /**
   * Builds a sandbox up to its start gate: everything is in place, but the program does not run yet.
   *
   * @throws {SpecError} if the bundle is wrong.
   * @throws {UnsupportedError} if this host cannot do what was asked.
   * @throws {LaunchError} if the kernel refuses a step.
   */
  static async create(options: SandboxOptions): Promise<Sandbox> {
    const sandbox = Sandbox.#launch(options);
    try {
      await sandbox.#child.ready;
      sandbox.#openTerminal();
      return sandbox;
    } catch (error) {
      await sandbox[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Builds a sandbox and starts its program at once. @throws as {@linkcode Sandbox.create} does. */
  static async run(options: SandboxOptions): Promise<Sandbox> {
    const sandbox = Sandbox.#launch(options);
    try {
      sandbox.start();
      await sandbox.#child.executed;
      sandbox.#openTerminal();
      return sandbox;
    } catch (error) {
      await sandbox[Symbol.asyncDispose]();
      throw error;
    }
  }

  static #launch(options: SandboxOptions): Sandbox {
    const image = imageOf(options);
    using ours = new DisposableStack();
    using theirs = new DisposableStack();
    const { stdin = "null", stdout = "piped", stderr = "piped" } = options;
    const input = connect(stdin, 0, ours, theirs);
    const output = connect(stdout, 1, ours, theirs);
    const errors = connect(stderr, 2, ours, theirs);
    const child = launch(image, { stdin: input.fd, stdout: output.fd, stderr: errors.fd });
    ours.move(); // the streams close them
    const ends = { stdin: input.end, stdout: output.end, stderr: errors.end };
    return new Sandbox(options.id ?? crypto.randomUUID().slice(0, 13), child, ends, options.timeoutMs);
  }

  /** The program's pid as this process sees it. */
  get pid(): number {
    return this.#child.pid;
  }

  /** The program's terminal, if it has one. */
  get terminal(): Terminal | undefined {
    return this.#terminal;
  }

  /** Lets the program begin. @throws {LifecycleError} if it has begun already. */
  start(): void {
    if (this.#startedMs !== undefined) {
      throw new LifecycleError(`Cannot start sandbox "${this.id}": it was started before`);
    }
    this.#startedMs = performance.now();
    this.#startedAt = new Date();
    this.#child.start();
    if (this.#timeoutMs !== undefined) {
      this.#timer = setTimeout(() => {
        this.#timedOut = true;
        this.#child.signal(SIGNALS.SIGKILL);
      }, this.#timeoutMs);
    }
  }

  /** Resolves when the program has ended. @throws {LaunchError} if it never began. */
  wait(): Promise<Result> {
    return this.#result ??= this.#wait();
  }

  async #wait(): Promise<Result> {
    const ending = await this.#child.ended;
    const endedMs = performance.now();
    clearTimeout(this.#timer);
    if (this.#startedMs !== undefined && !this.#timedOut && this.#deliveredSignal === undefined) {
      await this.#child.executed;
    }
    return result(ending, {
      id: this.id,
      startedMs: this.#startedMs ?? endedMs,
      endedMs,
      startedAt: this.#startedAt,
      timedOut: this.#timedOut,
      oomKilled: false,
      deliveredSignal: this.#deliveredSignal,
    });
  }

  /**
   * Sends a signal to the program, just as it is; false if it has ended.
   *
   * @param signal Such as `"SIGTERM"`, `"term"` or `15`.
   */
  kill(signal: string | number = "SIGKILL"): boolean {
    return this.#child.signal(signalNumber(signal));
  }

  /**
   * Sends a signal with the effect that it has on an ordinary process: the program is pid 1, which the kernel spares
   * from signals that it does not handle, so those that would have ended it end it here.
   */
  deliver(signal: string | number): boolean {
    const number = signalNumber(signal);
    let status: string;
    try {
      status = Deno.readTextFileSync(`/proc/${this.pid}/status`);
    } catch {
      return false;
    }
    if (!isLostOnInit(number, status)) return this.#child.signal(number);
    this.#deliveredSignal = number;
    return this.#child.signal(SIGNALS.SIGKILL);
  }

  /** Ends the program, if it still runs, with everything that it has started, and waits until nothing is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    await this.#child[Symbol.asyncDispose]();
    if (this.#terminalFd && !this.#terminalFd.closed) this.#terminalFd[Symbol.dispose]();
    for (const stream of [this.stdin, this.stdout, this.stderr]) {
      if (stream && !stream.locked) {
        await (stream instanceof ReadableStream ? stream.cancel() : stream.abort()).catch(() => {});
      }
    }
  }

  #openTerminal(): void {
    const fd = this.#child.terminal;
    if (!fd) return;
    this.#child.terminal = undefined;
    this.#terminalFd = fd;
    const input = fd.duplicate();
    this.#terminal = {
      readable: readable(fd),
      writable: writable(input),
      resize: (size) => resizeTerminal(input, size),
    };
  }
}

interface Ends {
  readonly stdin: Fd | undefined;
  readonly stdout: Fd | undefined;
  readonly stderr: Fd | undefined;
}

function connect(
  choice: StdioChoice,
  number: 0 | 1 | 2,
  ours: DisposableStack,
  theirs: DisposableStack,
): { fd: number; end?: Fd } {
  if (choice === "inherit") return { fd: number };
  if (choice === "null") return { fd: theirs.use(open("/dev/null", 2)).raw };
  const { read, write } = pipe();
  const [end, other] = number === 0 ? [write, read] : [read, write];
  ours.use(end);
  return { fd: theirs.use(other).raw, end };
}

function imageOf(options: SandboxOptions): Image {
  return assemble(plan(prepare(options)));
}
