import { SyscallError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { type Ending, kill, openPidFd, reap, signalPidFd, takeFd } from "../../ffi/process.ts";
import { receive, writeAll } from "../../ffi/socket.ts";
import { MESSAGE, MESSAGE_BYTES, REPORT_BYTES } from "../plan/protocol.ts";
import { HookOutput, type InsideHooks } from "./hook_output.ts";
import { type Image, stepAt } from "./image.ts";
import { KILLED_EARLY, LaunchError } from "./launch_error.ts";
import { DATA_ADDRESS } from "./machine.ts";
import { EPOLLIN, reactor, type Watch } from "./reactor.ts";

const SIGKILL = 9;
const EPIPE = 32;
/** Hang-ups are told without asking (epoll_ctl(2)). */
const NO_EVENTS = 0;
/** What the launcher says before and when it tells of init. */
const BY_LAUNCHER: readonly number[] = [MESSAGE.tracked, MESSAGE.cloned, MESSAGE.kept];

/** The first id of a range, and the open file that the range is kept by: the launcher holds it too. */
export interface IdRange extends Disposable {
  /** The first id on the host. */
  readonly first: number;
  /** Open as long as the range is taken. */
  readonly lock: Fd;
}

/** What a child holds, and gives back. */
interface Held {
  readonly status: Fd;
  readonly gate: Fd;
  readonly ids: IdRange | undefined;
  readonly grouped: boolean;
  readonly forOthers: boolean;
  /** Whether every message is to be heard as it comes. */
  readonly hears: boolean;
}

/** The init of a sandbox, from its birth to its end. */
export class Child implements AsyncDisposable {
  readonly #image: Image;
  #launcher = 0;
  readonly #status: Fd;
  readonly #gate: Fd;
  readonly #ready = Promise.withResolvers<void>();
  readonly #executed = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<Ending>();
  /** Resolves when init's pid is known. */
  readonly #known = Promise.withResolvers<void>();
  #pid = 0;
  #pidFd: Fd | undefined;
  #isReady = false;
  #reports: Map<string, Uint8Array> | undefined;
  /** Whether init is to be killed as soon as it is known. */
  #doomed = false;
  /** The listener's descriptor in init, if that was told before init's pid. */
  #early: number | undefined;
  /** Whether the launcher still has a cgroup to empty when init has ended. */
  #tracked = false;
  /** Whether init is the launcher's child, which ends as init did when nothing is left of it. */
  #kept = false;
  #launcherFd: Fd | undefined;
  /** Whether the launcher has ended and was waited for. */
  #reaped = false;
  #watch: Watch;
  /** Which messages are heard as they come: all, those until init is let on, or none but the end of all. */
  #hears: "all" | "first" | "end";
  /** Whether init need not wait for hooks any more. */
  #isLetOn = false;
  /** Tells of the end of a launcher that init was faster than. */
  #suspect: Watch | undefined;
  /** Tells of the end of init. */
  #exit: Watch | undefined;
  #failure: Error | undefined;
  /** The other side of the terminal, if the plan opened one. */
  terminal: Fd | undefined;
  #onListener: ((listener: Fd, pid: number) => void) | undefined;

  #onForbidden: ((listener: Fd) => void) | undefined;
  #onBirth: ((pid: number) => void) | undefined;
  #onHooks: ((pid: number) => Promise<void>) | undefined;
  #hookOutput: HookOutput | undefined;
  readonly #ids: IdRange | undefined;
  readonly #grouped: boolean;
  /** Whether the end of init is left to whoever inherits it, as long as it comes to be the program. */
  readonly #forOthers: boolean;
  /** Whether the launcher need not wait for cgroups any more. */
  #admitted: boolean;
  /** Resolves when nobody holds the status socket any more. */
  readonly #silent = Promise.withResolvers<void>();

  /** @internal Use {@linkcode launch}. */
  constructor(image: Image, { status, gate, ids, grouped, forOthers, hears }: Held) {
    this.#ids = ids;
    this.#grouped = grouped;
    this.#forOthers = forOthers;
    this.#admitted = !grouped;
    this.#image = image;
    this.#status = status;
    this.#gate = gate;
    for (const { promise } of [this.#ready, this.#executed]) promise.catch(() => {});
    // The end of the conversation tells all that was said: one wake-up instead of one for each message.
    this.#watch = reactor.watch(status, hears ? EPOLLIN : NO_EVENTS, () => this.#listen());
    this.#hears = hears ? "all" : "end";
  }

  /** @internal Its launcher is born: from now on there may be an init. */
  launched(launcher: number): void {
    this.#launcher = launcher;
  }

  /** @internal It has come to nothing: there is no launcher. */
  abandon(): void {
    this.#watch[Symbol.dispose]();
  }

  /** The pid of the launcher. */
  get launcher(): number {
    return this.#launcher;
  }

  /** What init has reported of itself so far, by name; only heard of by who asks before it is {@linkcode whenReady}. */
  get reports(): ReadonlyMap<string, Uint8Array> {
    return this.#reports ??= new Map();
  }

  /** The pid of init in this process's pid namespace; 0 before its birth. */
  get pid(): number {
    if (this.#pid === 0 && !this.#status.closed) this.#listen();
    return this.#pid;
  }

  /** Resolves when everything is built and init waits at the start gate. @throws {LaunchError} */
  whenReady(): Promise<void> {
    this.#hear();
    return this.#ready.promise;
  }

  /** Takes the listener of a seccomp filter that asks user space. Without anybody to take it the launch fails. */
  onListener(take: (listener: Fd, pid: number) => void): void {
    this.#onListener = take;
    this.#hear();
  }

  /**
   * Takes the listener of a policy's filter, which hears of calls that are to end the sandbox.
   *
   * @param now Whether init cannot become the program before somebody listens.
   */
  onForbidden(take: (listener: Fd) => void, now: boolean = false): void {
    this.#onForbidden = take;
    if (now) this.#hear();
  }

  /** Does something for init as soon as it is born, while it builds the sandbox; if that fails, so does the launch. */
  onBirth(act: (pid: number) => void): void {
    this.#onBirth = act;
    if (this.#pidFd) this.#tellOfBirth();
    else this.#hear("first");
  }

  /** What init would wait for before it runs hooks is done, and there are none: it goes on without asking. */
  letOn(): void {
    try {
      this.#sayGoOn();
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      return; // it has ended; if not, it asks, and that fails as this did
    }
    if (this.#status.closed || this.#hears !== "first") return;
    this.#hears = "end";
    this.#watch.change(NO_EVENTS);
  }

  #sayGoOn(): void {
    if (this.#isLetOn || this.#status.closed) return;
    writeAll(this.#status, new Uint8Array(1), "the status socket");
    this.#isLetOn = true;
  }

  /**
   * Hears of hooks: init waits until those of the runtime have run.
   *
   * @param run Runs them; if it fails, so does the launch.
   * @param hooks All that there are.
   */
  onHooks(run: (pid: number) => Promise<void>, hooks: InsideHooks): void {
    this.#onHooks = run;
    this.#hookOutput = new HookOutput(hooks);
    this.#hear("first");
  }

  /** Resolves when init has become the program. @throws {LaunchError} */
  get executed(): Promise<void> {
    return this.#executed.promise;
  }

  /** Resolves with the end of init, whatever the reason. */
  get ended(): Promise<Ending> {
    return this.#ended.promise;
  }

  /** A pidfd of init, for as long as the caller wants; nothing if it has ended or is not born yet. */
  hold(): Fd | undefined {
    if (this.pid === 0 || this.#pidFd === undefined || this.#pidFd.closed) return undefined;
    return this.#pidFd.duplicate();
  }

  /** Opens the start gate. If nobody waits behind it any more, {@linkcode executed} tells why. */
  start(): void {
    if (this.#gate.closed) return;
    try {
      writeAll(this.#gate, new Uint8Array(1), "the start gate");
    } catch (error) {
      if (!(error instanceof SyscallError && error.errno === EPIPE)) throw error;
    }
  }

  /** Sends a signal to init; false if it has ended. One that is not born yet is killed at its birth. */
  signal(number: number): boolean {
    if (this.pid === 0 && !this.#status.closed && number === SIGKILL) return this.#doomed = true;
    if (this.#pidFd === undefined || this.#pidFd.closed) return false;
    return signalPidFd(this.#pidFd, number);
  }

  /** Lets the launcher go on: the cgroups are made. */
  admit(): void {
    this.#admitted = true;
    this.start();
  }

  /**
   * Leaves a detached init, which waits at its start gate or is the program already, to itself: whoever inherits it from
   * this process waits for it. Nothing of it stays here.
   */
  letGo(): void {
    this.#watch[Symbol.dispose]();
    this.#exit?.[Symbol.dispose]();
    this.#reapLauncher(); // it ended when it had told who init is
    this.#hookOutput?.[Symbol.dispose]();
    for (const fd of [this.#status, this.#gate, this.#pidFd]) if (fd && !fd.closed) fd[Symbol.dispose]();
  }

  /** Leaves the start gate of a detached init to who starts it by its name: the init of this process's own still. */
  leaveGate(): void {
    if (!this.#gate.closed) this.#gate[Symbol.dispose]();
  }

  /** Ends the guard, which would remove the cgroups if this process died before it has done so. */
  async release(): Promise<void> {
    if (!this.#grouped) return;
    await this.ended;
    if (!this.#reaped) await this.#endLauncher();
    this.#reapLauncher();
    if (!this.#gate.closed) this.#gate[Symbol.dispose]();
  }

  /**
   * Kills init and everything in its pid namespace, and waits until that is done. With cgroups the guard stays until
   * {@linkcode Child.release}.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    // Groups that could not be made may be somebody else's: the launcher must not remove those.
    if (!this.#admitted && !this.#reaped) kill(this.#launcher, SIGKILL);
    if (!this.#gate.closed) this.#gate[Symbol.dispose](); // the guard ends init too
    this.signal(SIGKILL);
    if (this.#forOthers) {
      if (this.#status.closed && !this.#failure) this.#awaitEndAfterAll();
      this.#fail(new Error(KILLED_EARLY));
    }
    await this.ended;
    if (!this.#grouped) this.#reapLauncher();
    this.terminal?.[Symbol.dispose]();
    this.terminal = undefined;
  }

  /** Hears messages as they come. */
  #hear(which: "all" | "first" = "all"): void {
    if (this.#status.closed || this.#hears === "all") return;
    if (this.#hears === "end") this.#watch.change(EPOLLIN);
    this.#hears = which;
  }

  #listen(): void {
    while (!this.#status.closed) {
      const received = receive(this.#status, this.#reports ? REPORT_BYTES : MESSAGE_BYTES);
      if (received === "nothing") return;
      if (received === "end") return this.#hungUp();
      const [what, value] = new BigUint64Array(received.bytes.buffer, 0, 2);
      if (Number(what) === MESSAGE.report) this.#report(received.bytes, Number(value));
      else this.#message(Number(what), Number(value), received.fd);
    }
  }

  #report(bytes: Uint8Array, nameBytes: number): void {
    const body = MESSAGE_BYTES + nameBytes;
    this.#reports?.set(new TextDecoder().decode(bytes.subarray(MESSAGE_BYTES, body)), bytes.subarray(body));
  }

  #message(what: number, value: number, fd: Fd | undefined): void {
    if (what === MESSAGE.tracked) this.#tracked = true;
    else if (what === MESSAGE.cloned) this.#born(value);
    else if (what === MESSAGE.kept) this.#bornToLauncher(value, fd);
    else if (what === MESSAGE.ready) {
      this.#isReady = true;
      if (this.#pidFd) this.#ready.resolve();
    } else if (what === MESSAGE.terminal) this.#takeTerminal(fd);
    else if (what === MESSAGE.listener) this.#listener(value);
    else if (what === MESSAGE.forbidden) this.#forbidden(fd);
    else if (what === MESSAGE.hooks) void this.#runHooks();
    else if (this.#hookOutput) this.#hearOfHook(what, value, fd);
    if (what >= DATA_ADDRESS) this.#fail(this.#launchError(what, value));
    else if (this.#pid === 0 && !BY_LAUNCHER.includes(what)) this.#suspectLauncher();
  }

  /** Init has come before its launcher has told of it: which it never does if somebody has killed it. */
  #suspectLauncher(): void {
    if (this.#suspect) return;
    try {
      const pidFd = openPidFd(this.#launcher);
      const watch = this.#suspect = reactor.watch(pidFd, EPOLLIN, () => {
        watch[Symbol.dispose]();
        pidFd[Symbol.dispose]();
        this.#listen(); // what it said last
        if (this.#pid !== 0 || this.#status.closed) return;
        if (!this.#gate.closed) this.#gate[Symbol.dispose](); // ends init where nobody else holds it
        this.#reaped = true;
        void this.#end(reap(this.#launcher, true) ?? NOTHING);
      });
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #takeTerminal(fd: Fd | undefined): void {
    this.terminal = fd;
    if (fd) return;
    // The kernel drops a descriptor that finds no room (unix(7)).
    this.#fail(new Error("Cannot take the sandbox's terminal: this process has too many open files"));
    this.signal(SIGKILL);
  }

  #listener(number: number): void {
    // Launcher and init write to the same socket: init may be heard before its birth is told.
    if (this.#pidFd === undefined) {
      this.#early = number;
      return;
    }
    try {
      if (!this.#onListener) {
        throw new Error("Cannot start the sandbox: nobody takes the listener of its seccomp filter");
      }
      this.#onListener(takeFd(this.#pidFd, number), this.#pid);
      this.start(); // init waits a second time
    } catch (error) {
      this.#fail(error as Error);
      this.signal(SIGKILL);
    }
  }

  #forbidden(listener: Fd | undefined): void {
    if (listener && this.#onForbidden) return this.#onForbidden(listener);
    listener?.[Symbol.dispose]();
    this.#fail(new Error("Cannot start the sandbox: nobody hears of the calls that its policy forbids"));
    this.signal(SIGKILL);
  }

  /** Launcher and init write to the same socket: init may be heard before its birth is told. */
  async #runHooks(): Promise<void> {
    if (this.#isLetOn) return;
    try {
      await this.#known.promise;
      if (this.#isLetOn) return; // at its birth
      if (this.#failure) throw this.#failure; // what was to be done at its birth
      if (!this.#onHooks) throw new Error("Cannot start the sandbox: nobody runs its hooks");
      await this.#onHooks(this.#pid);
      this.#sayGoOn();
    } catch (error) {
      this.#fail(error as Error);
      this.signal(SIGKILL);
    }
  }

  #hearOfHook(what: number, value: number, fd: Fd | undefined): void {
    try {
      this.#hookOutput?.hear(what, value, fd);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #launchError(record: number, errno: number): LaunchError {
    const step = stepAt(record);
    return new LaunchError(this.#image.steps[step]!, step + 1, this.#image.steps.length, errno);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of [this.#ready, this.#executed]) reject(error);
  }

  #born(pid: number): void {
    this.#pid = pid;
    try {
      this.#pidFd = openPidFd(pid);
      this.#awaitEnd(this.#pidFd, pid);
    } catch (error) {
      // No room for a descriptor: then the end of the status socket tells of init's.
      this.#fail(error as Error);
      kill(pid, SIGKILL);
      this.#pidFd?.[Symbol.dispose]();
      this.#pidFd = undefined;
    }
  }

  /** Init is the launcher's child, which ends as init does when nothing is left of it: that is the end that counts. */
  #bornToLauncher(pid: number, pidFd: Fd | undefined): void {
    this.#pid = pid;
    this.#kept = true;
    try {
      if (!pidFd) throw new Error("Cannot start the sandbox: there is no room for another open file");
      this.#pidFd = pidFd;
      this.#awaitEnd(this.#launcherFd = openPidFd(this.#launcher), this.#launcher);
    } catch (error) {
      this.#fail(error as Error);
      this.#pidFd = undefined;
      pidFd?.[Symbol.dispose]();
      this.#gate[Symbol.dispose](); // the launcher then ends everything
    }
  }

  #awaitEnd(pidFd: Fd, pid: number): void {
    if (this.#forOthers) return this.#heardBefore();
    const watch: Watch = this.#exit = reactor.watch(pidFd, EPOLLIN, () => {
      const ending = reap(pid, false);
      if (!ending) return;
      watch[Symbol.dispose]();
      this.#reaped ||= this.#kept;
      void this.#end(ending);
    });
    this.#heardBefore();
  }

  #tellOfBirth(): void {
    try {
      this.#onBirth?.(this.#pid);
    } catch (error) {
      this.#fail(error as Error);
      this.signal(SIGKILL);
    }
  }

  /** What was told before init's pid. */
  #heardBefore(): void {
    if (this.#doomed && this.#pidFd) signalPidFd(this.#pidFd, SIGKILL);
    else this.#tellOfBirth();
    this.#known.resolve();
    if (this.#isReady) this.#ready.resolve(); // heard before this
    if (this.#early !== undefined) this.#listener(this.#early);
  }

  /** Nobody holds the status socket any more: init has become the program, or there is no init. */
  #hungUp(): void {
    this.#watch[Symbol.dispose]();
    this.#status[Symbol.dispose]();
    this.#hookOutput?.[Symbol.dispose]();
    this.#silent.resolve();
    if (this.#pidFd === undefined && this.#pid !== 0 && !this.#kept) {
      void this.#end(reap(this.#pid, true) ?? NOTHING);
    } else if (this.#pidFd === undefined) {
      // The launcher died before it could report init.
      this.#reaped = true;
      void this.#end(reap(this.#launcher, true) ?? NOTHING);
    } else if (this.#isReady && !this.#failure) this.#executed.resolve();
    else if (this.#forOthers) this.#awaitEndAfterAll();
  }

  /** It is not to be the program that others wait for. */
  #awaitEndAfterAll(): void {
    void reactor.ready(this.#pidFd!, EPOLLIN).then(() => this.#end(reap(this.#pid, true) ?? NOTHING));
  }

  async #end(ending: Ending): Promise<void> {
    this.#listen(); // what init said last
    if (this.#grouped && !this.#tracked) await this.#silent.promise;
    else if (!this.#reaped) await this.#endLauncher();
    this.#listen(); // nobody but init and the launcher can have kept the end from being heard
    this.#fail(new Error(KILLED_EARLY));
    this.#watch[Symbol.dispose]();
    if (!this.#status.closed) this.#status[Symbol.dispose]();
    this.#hookOutput?.[Symbol.dispose]();
    if (!this.#grouped && !this.#gate.closed) this.#gate[Symbol.dispose]();
    this.#pidFd?.[Symbol.dispose]();
    this.#launcherFd?.[Symbol.dispose]();
    this.#ids?.[Symbol.dispose]();
    this.#ended.resolve(ending);
  }

  /** The guard has nothing left to guard, but for a cgroup. It is our child and unreaped: its pid is still its own. */
  async #endLauncher(): Promise<void> {
    if (!this.#tracked) kill(this.#launcher, SIGKILL);
    // After a short program it may not have come to close its end of the status socket yet.
    if (!this.#tracked && this.#status.closed) return;
    try {
      using pidFd = openPidFd(this.#launcher);
      await reactor.ready(pidFd, EPOLLIN);
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error; // no room for a descriptor: wait here
    }
    this.#reapLauncher();
  }

  /** Takes the end of the launcher, which is dead or dying. */
  #reapLauncher(): void {
    if (this.#reaped) return;
    this.#reaped = true;
    reap(this.#launcher, true);
  }
}

const NOTHING: Ending = { code: 1, userMs: 0, systemMs: 0, peakMemoryBytes: 0 };
