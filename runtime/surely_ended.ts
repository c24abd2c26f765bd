import { SyscallError } from "../ffi/errno.ts";
import type { CgroupGroup } from "./cgroup/group.ts";
import { LifecycleError } from "./errors.ts";
import type { Child } from "./launch/child.ts";
import { reactor } from "./launch/reactor.ts";
import { isExiting } from "./supervise/exiting.ts";
import { SIGNALS } from "./supervise/signals.ts";

/** How long a killed sandbox may take to end. */
const END_MS = 10_000;
/** How often it is looked whether init cannot end, where a program can freeze others. */
const FREEZER_MS = 500;

/** Sees to it that init ends when it is killed, and that nobody waits for ever for one that cannot. */
export class SurelyEnded {
  readonly #child: Child;
  readonly #name: string;
  #group: CgroupGroup | undefined;
  #freezer: Disposable | undefined;
  #hasEnded = false;
  #patience: Disposable | undefined;
  readonly #stuck = Promise.withResolvers<never>();

  /** @param name What errors call the sandbox. */
  constructor(child: Child, name: string) {
    this.#child = child;
    this.#name = name;
    this.#stuck.promise.catch(() => {});
    void child.ended.then(() => {
      this.#hasEnded = true;
      this.#patience?.[Symbol.dispose]();
      this.#freezer?.[Symbol.dispose]();
    });
  }

  /** Rejects with a {@linkcode LifecycleError} when it was killed and does not end. */
  get stuck(): Promise<never> {
    return this.#stuck.promise;
  }

  /** The group that init is in, or will be. */
  set group(group: CgroupGroup) {
    this.#group = group;
  }

  /** A program may have frozen what it has started, and init waits for that when it ends: forever, if nobody thaws it. */
  watchFreezer(): void {
    if (this.#hasEnded) return;
    this.#freezer = reactor.every(FREEZER_MS, () => {
      if (isExiting(this.#child.pid)) this.#group?.thaw();
    });
  }

  /** Kills init; false if it has ended. */
  kill(): boolean {
    const sent = this.#child.signal(SIGNALS.SIGKILL);
    this.letDie();
    return sent;
  }

  /** Lets init die, which a freezer of cgroup v1 would keep, and waits for that only so long. */
  letDie(): void {
    this.#group?.thaw();
    if (this.#hasEnded || this.#patience) return;
    try {
      this.#patience = reactor.after(END_MS, () => this.#giveUp());
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error; // no room for a descriptor: that must not keep it alive
    }
  }

  /** Not even SIGKILL ends a process that waits in the kernel for a disk or a server. */
  #giveUp(): void {
    const who = this.#group?.stuck.join(", ") || "a process in it";
    const why =
      `${who} waits in the kernel, where it cannot be killed; mend what it waits for, such as a dead disk`;
    this.#stuck.reject(new LifecycleError(`Cannot end ${this.#name}: ${why}`));
  }
}
