import { check } from "../../ffi/errno.ts";
import { Fd } from "../../ffi/fd.ts";
import { libc } from "../../ffi/libc.ts";

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
export const EPOLLIN = 1;
export const EPOLLOUT = 4;
const EFD_NONBLOCK = 0o4000;
/** `struct epoll_event` is packed on x86-64 only. */
const [EVENT_BYTES, DATA_OFFSET] = Deno.build.arch === "x86_64" ? [12, 4] : [16, 8];
const EVENTS = 64;
/** Goes on while the machine sleeps: what was given 30 s ends 30 s later. */
const CLOCK_BOOTTIME = 7;

/** Something that is watched until it is disposed of. */
export interface Watch extends Disposable {
  readonly fd: number;
  /** Watches for these events from now on; if that fails, for those of before. */
  change(events: number): void;
}

/**
 * Waits for all children, pipes and terminals of this process with one epoll instance and one thread: a waiting call
 * for each would use up Deno's pool, which file access needs too.
 */
class Reactor {
  #epoll: Fd | undefined;
  #wake: Fd | undefined;
  #waiting = false;
  #next = 1;
  readonly #handlers = new Map<number, (events: number) => void>();

  /** Calls `handler` whenever `fd` has one of `events`, or an error or hang-up, until the watch is disposed of. */
  watch(fd: Fd, events: number, handler: (events: number) => void): Watch {
    const token = this.#next++;
    const raw = fd.raw;
    this.#control(EPOLL_CTL_ADD, raw, events, token);
    this.#handlers.set(token, handler);
    void this.#run();
    return {
      fd: raw,
      change: (events) => this.#control(EPOLL_CTL_MOD, raw, events, token),
      [Symbol.dispose]: () => {
        if (!this.#handlers.delete(token)) return;
        // Where that fails, nobody hears of it any more, and closing it takes it out.
        if (!fd.closed) libc.epoll_ctl(this.#epoll!.raw, EPOLL_CTL_DEL, raw, new ArrayBuffer(EVENT_BYTES));
        // The last one out ends the wait, so that the process can end.
        if (this.#handlers.size === 0 && this.#waiting) {
          libc.write(this.#wake!.raw, new BigUint64Array([1n]), 8n);
        }
      },
    };
  }

  /** Waits once until `fd` has one of `events`. */
  ready(fd: Fd, events: number): Promise<void> {
    return new Promise((resolve) => {
      const watch = this.watch(fd, events, () => {
        watch[Symbol.dispose]();
        resolve();
      });
    });
  }

  /** Calls `handler` again and again, until it is disposed of. */
  every(periodMs: number, handler: () => void): Disposable {
    const next = (): Disposable =>
      this.after(periodMs, () => {
        timer = next();
        handler();
      });
    let timer = next();
    return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
  }

  /** Calls `handler` once after `timeoutMs`, unless it is disposed of before. Deno's own timers take 6 ms to load. */
  after(timeoutMs: number, handler: () => void): Disposable {
    const timer = new Fd(check(libc.timerfd_create(CLOCK_BOOTTIME, EPOLL_CLOEXEC), "make a timer"));
    const [seconds, nanoseconds] = [Math.floor(timeoutMs / 1000), Math.round(timeoutMs % 1000 * 1e6)];
    // struct itimerspec: the interval, then the first time; all zero would switch the timer off.
    const when = new BigInt64Array([
      0n,
      0n,
      BigInt(seconds),
      BigInt(Math.max(nanoseconds, seconds === 0 ? 1 : 0)),
    ]);
    check(libc.timerfd_settime(timer.raw, 0, when, null), "set a timer");
    const stop = (): void => {
      watch[Symbol.dispose]();
      timer[Symbol.dispose]();
    };
    const watch = this.watch(timer, EPOLLIN, () => {
      stop();
      handler();
    });
    return { [Symbol.dispose]: stop };
  }

  #control(operation: number, raw: number, events: number, token: number): void {
    this.#epoll ??= this.#open();
    const event = new DataView(new ArrayBuffer(EVENT_BYTES));
    event.setUint32(0, events, true);
    event.setUint32(DATA_OFFSET, token, true);
    check(libc.epoll_ctl(this.#epoll.raw, operation, raw, event.buffer), "watch a descriptor");
  }

  #open(): Fd {
    const epoll = new Fd(check(libc.epoll_create1(EPOLL_CLOEXEC), "make an epoll instance"));
    this.#wake = new Fd(check(libc.eventfd(0, EPOLL_CLOEXEC | EFD_NONBLOCK), "make an event descriptor"));
    this.#epoll = epoll;
    this.#control(EPOLL_CTL_ADD, this.#wake.raw, EPOLLIN, 0);
    return epoll;
  }

  async #run(): Promise<void> {
    if (this.#waiting) return;
    this.#waiting = true;
    const buffer = new ArrayBuffer(EVENTS * EVENT_BYTES);
    const view = new DataView(buffer);
    while (this.#handlers.size > 0) {
      // -1 is EINTR: a signal, to be waited through.
      const count = await libc.epoll_wait(this.#epoll!.raw, buffer, EVENTS, -1);
      for (let index = 0; index < count; index++) {
        const token = view.getUint32(index * EVENT_BYTES + DATA_OFFSET, true);
        if (token === 0) libc.read(this.#wake!.raw, new BigUint64Array(1), 8n);
        else this.#handlers.get(token)?.(view.getUint32(index * EVENT_BYTES, true));
      }
    }
    this.#waiting = false;
  }
}

/** The reactor of this process. */
export const reactor = new Reactor();
