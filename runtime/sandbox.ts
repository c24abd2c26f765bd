import type { Attested } from "./attest/attest.ts";
import { LifecycleError, UnsupportedError } from "./errors.ts";
import type { Ending } from "../ffi/process.ts";
import type { CgroupGroup } from "./cgroup/group.ts";
import { takeIdRange } from "./id_range.ts";
import type { Hooked, Rdt } from "./image_of.ts";
import { type Found, imageFor } from "./images.ts";
import type { Execution } from "./exec/execution.ts";
import type { SandboxExecOptions } from "./exec/sandbox.ts";
import type { Child } from "./launch/child.ts";
import type { Image } from "./launch/image.ts";
import { launch } from "./launch/launch.ts";
import type { StoreOptions } from "./lifecycle/container.ts";
import type { Container } from "./lifecycle/handle.ts";
import { KILLED_EARLY, LaunchError } from "./launch/launch_error.ts";
import { reactor } from "./launch/reactor.ts";
import { type InnerOptions, OBSERVE, type SandboxOptions } from "./options.ts";
import { type Connection, connectWhileBuilt, isConnected } from "./network.ts";
import type { PlanRequest } from "./plan/context.ts";
import { type ForbiddenCall, forbiddenCall, onForbiddenCall } from "./supervise/forbidden_calls.ts";
import type { Notification } from "./supervise/notification.ts";
import { observeCalls } from "./supervise/observed_calls.ts";
import { isDying } from "./supervise/exiting.ts";
import { wasOomKilled } from "./supervise/oom.ts";
import { type Result, result } from "./supervise/result.ts";
import { deliver } from "./supervise/deliver.ts";
import { signalNumber, SIGNALS } from "./supervise/signals.ts";
import { sendListener } from "./supervise/seccomp_listener.ts";
import { connect, type Ends } from "./supervise/ends.ts";
import { readable, writable } from "./supervise/streams.ts";
import { SurelyEnded } from "./surely_ended.ts";
import type { Cut } from "./untrusted/rule.ts";
import { type Terminal, terminalOf } from "./supervise/terminal_streams.ts";

/** What connects sandboxes, once one was: to import again what is there takes a turn of the event loop. */
let connecting: Promise<typeof import("./connect.ts")> | undefined;

/**
 * A program in a sandbox of its own.
 *
 * @example Run a program and take its output
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { Sandbox } from "../mod.ts";
 * await using sandbox = await Sandbox.create({ command: ["echo", "hello"] });
 * sandbox.start();
 * equal(await new Response(sandbox.stdout).text(), "hello\n");
 * equal((await sandbox.wait()).exitCode, 0);
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
  /** What keeps the program in its place: its own namespaces, or Landlock where none can be made. */
  readonly isolation: "namespaces" | "landlock";
  readonly #child: Child;
  /** The directory of a program without namespaces. */
  readonly #bare: Disposable | undefined;
  readonly #timeoutMs: number | undefined;
  #terminal: Terminal | undefined;
  readonly #streams = new DisposableStack();
  #startedMs: number | undefined;
  #over = false;
  #startedAt = new Date(0);
  readonly #timers = new DisposableStack();
  #timedOut = false;
  #killed = false;
  #deliveredSignal: number | undefined;
  #forbiddenCall: ForbiddenCall | undefined;
  #group: CgroupGroup | undefined;
  readonly #end: SurelyEnded;
  #attested: Attested | undefined;
  #cuts: readonly Cut[] = [];
  #result: Promise<Result> | undefined;
  #hooked: Hooked | undefined;
  #rdt: Rdt | undefined;
  /** Resolves when the program has begun and the hooks behind that have run. */
  #begun: Promise<void> | undefined;
  readonly #onWarning: ((warning: string) => void) | undefined;
  #request: PlanRequest | undefined;
  #connection: Connection | undefined;
  readonly #listen: (child: Child) => void;
  readonly #executions = new Set<Execution>();
  readonly #execImages = new Map<string, Image>();

  private constructor(id: string, child: Child, ends: Ends, options: InnerOptions) {
    const { timeoutMs, bare, onWarning, [OBSERVE]: observer } = options;
    this.#onWarning = onWarning;
    this.id = id;
    this.isolation = bare ? "landlock" : "namespaces";
    this.#bare = bare;
    this.#child = child;
    this.#timeoutMs = timeoutMs;
    this.#end = new SurelyEnded(child, `sandbox "${id}"`);
    void child.ended.then(() => this.#over = true);
    const forbid = (call: ForbiddenCall): void => {
      this.#forbiddenCall = call;
      this.#endBy(SIGNALS.SIGSYS);
    };
    const { ended } = child;
    this.#listen = (each) => {
      if (observer) {
        const kill = (call: Notification): void => forbid(forbiddenCall(call));
        each.onForbidden((listener) => observeCalls(listener, ended, { observer, kill }), true);
      } else each.onForbidden((listener) => onForbiddenCall(listener, ended, forbid));
    };
    this.#listen(child);
    this.stdin = ends.stdin && this.#streams.use(writable(ends.stdin)).stream;
    this.stdout = ends.stdout && this.#streams.use(readable(ends.stdout)).stream;
    this.stderr = ends.stderr && this.#streams.use(readable(ends.stderr)).stream;
  }

  /**
   * Builds a sandbox up to its start gate: everything is in place, but the program does not run yet.
   *
   * @throws {SpecError} if the bundle is wrong.
   * @throws {UnsupportedError} if this host cannot do what was asked.
   * @throws {LaunchError} if the kernel refuses a step.
   * @throws {AttestationError} if it is to be attested, and is not what was asked for.
   */
  static create(options: SandboxOptions): Promise<Sandbox> {
    return Sandbox.#make(options, (sandbox) => sandbox.#whenReady());
  }

  /**
   * A container that was made before, by this process or another: a sandbox that outlives who made it.
   *
   * @throws {LifecycleError} if there is none.
   */
  static async open(id: string, options: StoreOptions = {}): Promise<Container> {
    const { Container } = await import("./lifecycle/handle.ts");
    return Container.open(id, options);
  }

  /** All containers there are, sorted by name. */
  static async list(options: StoreOptions = {}): Promise<Container[]> {
    const { Container } = await import("./lifecycle/handle.ts");
    return Container.list(options);
  }

  /** Builds a sandbox and starts its program at once. @throws as {@linkcode Sandbox.create} does. */
  static run(options: SandboxOptions): Promise<Sandbox> {
    return Sandbox.#make(options, async (sandbox) => {
      if (sandbox.#attested || sandbox.#rdt) await sandbox.#whenReady();
      sandbox.start();
      await sandbox.#begun!.catch((error) => {
        if (!sandbox.#timedOut) throw error; // else the result tells
      });
    });
  }

  /** Builds a sandbox and brings it `on` its way; where namespaces are forbidden, as the options say. */
  static async #make(options: SandboxOptions, on: (sandbox: Sandbox) => Promise<void>): Promise<Sandbox> {
    try {
      return await Sandbox.#tryToMake(options, on);
    } catch (error) {
      if (!(error instanceof LaunchError)) throw error;
      const { fallBack } = await import("./fallback.ts");
      return await fallBack(error, options, (inner) => Sandbox.#tryToMake(inner, on));
    }
  }

  static async #tryToMake(options: InnerOptions, on: (sandbox: Sandbox) => Promise<void>): Promise<Sandbox> {
    const sandbox = await Sandbox.#build(options);
    try {
      await on(sandbox);
      sandbox.#openTerminal();
      return sandbox;
    } catch (error) {
      const starved = sandbox.#isStarved();
      await sandbox[Symbol.asyncDispose]();
      throw starved ? tooLittleMemory(error) : error;
    }
  }

  static async #build(options: InnerOptions): Promise<Sandbox> {
    const plain = { ...options, id: options.id ?? crypto.randomUUID().slice(0, 13) };
    const named = isConnected(plain)
      ? await (await (connecting ??= import("./connect.ts"))).connected(plain)
      : plain;
    try {
      return await Sandbox.#buildConnected(named);
    } catch (error) {
      await named.connection?.[Symbol.asyncDispose]();
      throw error;
    }
  }

  static async #buildConnected(named: InnerOptions & { readonly id: string }): Promise<Sandbox> {
    const found = await imageFor(named);
    if (!found.group) return Sandbox.#launch(named, found);
    const { CgroupGroup } = await import("./cgroup/group.ts");
    const { path, resources, hierarchies, reachable } = found.group;
    // Before its groups, so that its guard removes them if this process dies.
    const sandbox = Sandbox.#launch(named, found);
    try {
      const group = sandbox.#group = await CgroupGroup.create(path, resources, hierarchies);
      sandbox.#end.group = group;
      sandbox.#child.admit();
      if (reachable && group.holdsTheKilled) sandbox.#end.watchFreezer();
      return sandbox;
    } catch (error) {
      await sandbox[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Everything is built, and is what was asked for. */
  async #whenReady(): Promise<void> {
    await this.#child.whenReady();
    if (this.#rdt) {
      const { joinRdt, makeRdt } = await import("./rdt.ts");
      makeRdt(this.#rdt.root, this.#rdt.group);
      joinRdt(this.#rdt.root, this.#rdt.group, this.pid);
    }
    if (!this.#attested) return;
    const { attest } = await import("./attest/attest.ts");
    try {
      attest(this.id, this.pid, this.#attested);
    } catch (error) {
      // Of a process that somebody has killed nothing can be known. That it was killed says more.
      throw isDying(this.pid) ? new Error(KILLED_EARLY, { cause: error }) : error;
    }
  }

  static #launch(
    options: InnerOptions & { readonly id: string },
    { image, keep, listener, hooked, rdt, expected, request, cuts = [], group }: Found,
  ): Sandbox {
    const { timeoutMs } = options;
    if (timeoutMs !== undefined && !(timeoutMs > 0 && timeoutMs < Infinity)) {
      throw new TypeError(`Cannot end a sandbox after ${timeoutMs} ms: that is no time`);
    }
    using ours = new DisposableStack();
    using theirs = new DisposableStack();
    const { stdin = "null", stdout = "piped", stderr = "piped" } = options;
    const input = connect(stdin, 0, ours, theirs);
    const output = connect(stdout, 1, ours, theirs);
    const errors = connect(stderr, 2, ours, theirs);
    const ids = image.idsAt.length > 0 ? ours.use(takeIdRange()) : undefined;
    const child = launch(image, { stdin: input.fd, stdout: output.fd, stderr: errors.fd }, {
      ids,
      grouped: group !== undefined,
      preserved: options.preserveFds,
    });
    keep?.();
    ours.move(); // the streams and the child close them
    const ends = { stdin: input.end, stdout: output.end, stderr: errors.end };
    const { id } = options;
    if (listener) child.onListener((fd, pid) => sendListener(fd, { ...listener, id, pid }));
    const sandbox = new Sandbox(id, child, ends, options);
    if (expected) sandbox.#attested = { expected, firstId: ids?.first, reports: child.reports };
    sandbox.#cuts = cuts;
    sandbox.#rdt = rdt;
    sandbox.#connection = options.connection;
    if (hooked) {
      sandbox.#hooked = hooked;
      const connect = connectWhileBuilt(options.connection, child, hooked);
      child.onHooks(async (pid) => {
        await connect(pid);
        const { runCreateHooks } = await import("./hooks.ts");
        await runCreateHooks(hooked, pid, child.ended);
      }, hooked.hooks);
    }
    sandbox.#request = request;
    return sandbox;
  }

  /** What an untrusted bundle asked for and did not get. */
  get cuts(): readonly Cut[] {
    return this.#cuts;
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
    if (this.#over) throw new LifecycleError(`Cannot start sandbox "${this.id}": it has ended`);
    this.#startedMs = performance.now();
    this.#startedAt = new Date();
    this.#child.start();
    this.#begun = this.#hooked ? this.#poststart(this.#hooked) : this.#child.executed;
    this.#begun.catch(() => {}); // who waits hears of it
    if (this.#timeoutMs !== undefined) {
      this.#timers.use(reactor.after(this.#timeoutMs, () => {
        this.#timedOut = true;
        this.#end.kill();
      }));
    }
  }

  async #poststart(hooked: Hooked): Promise<void> {
    await this.#child.executed;
    if (!hooked.hooks.poststart) return;
    const { runPoststartHooks } = await import("./hooks.ts");
    try {
      await runPoststartHooks(hooked, this.pid);
    } catch (error) {
      this.#end.kill();
      throw error;
    }
  }

  /**
   * Runs one more program in the sandbox, under all that holds for its first: the same users, limits, filters and policy.
   * What is not said of it is as for the first. It ends with the sandbox at the latest.
   *
   * @param args The program with its arguments.
   * @example
   * ```ts
   * import { equal } from "node:assert/strict";
   * import { Sandbox } from "../mod.ts";
   * await using sandbox = await Sandbox.run({ command: ["sleep", "60"] });
   * await using program = await sandbox.exec(["echo", "hello"]);
   * equal(await new Response(program.stdout).text(), "hello\n");
   * equal((await program.wait()).exitCode, 0);
   * ```
   * @throws {LifecycleError} if the sandbox has ended.
   * @throws {LaunchError} if the kernel refuses a step, such as to run the program.
   * @throws {UsageError} if it asks for rights that the sandbox cannot have.
   * @throws {UnsupportedError} if the sandbox has no namespaces to enter.
   */
  async exec(args: readonly string[], options: SandboxExecOptions = {}): Promise<Execution> {
    if (this.#bare) {
      throw new UnsupportedError("exec", "the sandbox has no namespaces that a program could enter");
    }
    const { execInSandbox } = await import("./exec/sandbox.ts");
    const init = this.#over ? undefined : this.#child.hold();
    if (!init) throw new LifecycleError(`Cannot exec in sandbox "${this.id}": it has ended`);
    const { id, pid } = this;
    const [request, watch, images, executions] = [
      this.#request,
      this.#listen,
      this.#execImages,
      this.#executions,
    ];
    return await execInSandbox({ id, pid, request, init, watch, images, executions }, args, options);
  }

  /**
   * Resolves when the program has ended.
   *
   * @throws {LaunchError} if it could not begin.
   * @throws {LifecycleError} if the sandbox ended without having been started.
   */
  wait(): Promise<Result> {
    return this.#result ??= this.#wait();
  }

  async #wait(): Promise<Result> {
    const ending = await Promise.race([this.#child.ended, this.#end.stuck]);
    const endedMs = performance.now();
    this.#timers.dispose();
    if (this.#startedMs === undefined) {
      throw new LifecycleError(`Cannot tell how sandbox "${this.id}" ended: it was never started`);
    }
    if (!this.#timedOut && this.#deliveredSignal === undefined) await this.#begun;
    const usage = this.#group?.stats();
    await this.#removeGroup();
    return result(ending, {
      id: this.id,
      startedMs: this.#startedMs,
      endedMs,
      startedAt: this.#startedAt,
      timedOut: this.#timedOut,
      oomKilled: this.#isUnexplained(ending) ? (usage?.oomKills ?? 0) > 0 || wasOomKilled(this.pid) : false,
      usage,
      deliveredSignal: this.#deliveredSignal,
      forbiddenCall: this.#forbiddenCall,
      bare: this.#bare !== undefined,
    });
  }

  /** Whether its own memory limit has killed it. */
  #isStarved(): boolean {
    return (this.#group?.stats().oomKills ?? 0) > 0;
  }

  /** Whether a SIGKILL came from somebody else: the kernel, perhaps. */
  #isUnexplained({ signal }: Ending): boolean {
    return signal === SIGNALS.SIGKILL && !this.#killed && !this.#timedOut &&
      this.#deliveredSignal === undefined;
  }

  /**
   * Sends a signal to the program, just as it is; false if it has ended.
   *
   * @param signal Such as `"SIGTERM"`, `"term"` or `15`.
   */
  kill(signal: string | number = "SIGKILL"): boolean {
    const number = signalNumber(signal);
    if (number !== SIGNALS.SIGKILL) return this.#child.signal(number);
    this.#killed = true;
    return this.#end.kill();
  }

  /**
   * Sends a signal with the effect that it has on an ordinary process: the program is pid 1, which the kernel spares
   * from signals that it does not handle, so those that would have ended it end it here.
   */
  deliver(signal: string | number): boolean {
    const number = signalNumber(signal);
    const send = (one: number): boolean => this.#child.signal(one);
    const end = (one: number): boolean => this.#endBy(one);
    return deliver(number, { pid: this.pid, send, end, timers: this.#timers });
  }

  #endBy(signal: number): boolean {
    this.#deliveredSignal = signal;
    return this.#end.kill();
  }

  /** Ends the program, if it still runs, with everything that it has started, and waits until nothing is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    this.#timers.dispose();
    this.#end.letDie();
    try {
      await Promise.race([this.#child[Symbol.asyncDispose](), this.#end.stuck]);
      await this.#removeGroup();
      await Promise.all([...this.#executions].map((each) => each[Symbol.asyncDispose]()));
    } finally {
      this.#streams.dispose();
      this.#bare?.[Symbol.dispose]();
    }
  }

  /** The guard stays until the group is gone. */
  async #removeGroup(): Promise<void> {
    await this.#group?.[Symbol.asyncDispose]();
    await this.#child.release();
    if (this.#rdt) (await import("./rdt.ts")).removeRdt(this.#rdt.group.own);
    await this.#connection?.[Symbol.asyncDispose]();
    const hooked = this.#hooked;
    if (!hooked?.hooks.poststop) return;
    this.#hooked = undefined; // once
    const { runPoststopHooks } = await import("./hooks.ts");
    for (const warning of await runPoststopHooks(hooked)) this.#onWarning?.(warning);
  }

  #openTerminal(): void {
    const fd = this.#child.terminal;
    if (!fd) return;
    this.#terminal = terminalOf(fd, this.#streams);
    this.#child.terminal = undefined; // ours from here on
  }
}

function tooLittleMemory(cause: unknown): UnsupportedError {
  const reason = "the kernel killed the sandbox for want of memory before its program began";
  return Object.assign(new UnsupportedError("/linux/resources/memory", reason, "allow more memory"), {
    cause,
  });
}
