import type { Fd } from "../../ffi/fd.ts";
import { HOOK_END, INSIDE_HOOKS, MESSAGE } from "../plan/protocol.ts";
import { Drain } from "./drain.ts";
import { type HookEnd, hookError, type HookKind } from "./hook_error.ts";

/** What is known of the hooks that init runs, beside what it says. */
export type InsideHooks = {
  readonly [kind in HookKind]?: readonly { readonly path: string; readonly timeout?: number }[];
};

/** Hears of the hooks that init runs itself: it sends the outputs of each, and how one failed. */
export class HookOutput implements Disposable {
  readonly #hooks: InsideHooks;
  #kind: HookKind = INSIDE_HOOKS[0];
  #index = 0;
  readonly #drains: (Drain | undefined)[] = [];

  constructor(hooks: InsideHooks) {
    this.#hooks = hooks;
  }

  /** Takes a message; whether it was about hooks. @throws {HookError} if it says that a hook failed. */
  hear(what: number, value: number, fd: Fd | undefined): boolean {
    if (what === MESSAGE.hookOutput) {
      this.#take(value, fd);
      return true;
    }
    const end = what - MESSAGE.hookFailed;
    if (end < HOOK_END.code || end > HOOK_END.missing) return false;
    const [stdout = "", stderr = ""] = this.#drains.map((drain) => drain?.text);
    throw hookError(this.#kind, this.#index, this.#endOf(end, value), { stdout, stderr });
  }

  #take(value: number, fd: Fd | undefined): void {
    this.#kind = INSIDE_HOOKS[Math.floor(value / 2 ** 32)] ?? this.#kind;
    this.#index = Math.floor(value % 2 ** 32 / 2);
    const stream = value % 2;
    this.#drains[stream]?.[Symbol.dispose]();
    this.#drains[stream] = fd && new Drain(fd); // the kernel drops a descriptor that finds no room (unix(7))
  }

  #endOf(end: number, value: number): HookEnd {
    const { path = "", timeout = 0 } = this.#hooks[this.#kind]?.[this.#index] ?? {};
    if (end === HOOK_END.code) return { kind: "code", code: value };
    if (end === HOOK_END.signal) return { kind: "signal", signal: value };
    return end === HOOK_END.timeout
      ? { kind: "timeout", seconds: timeout }
      : { kind: "missing", path, errno: value };
  }

  [Symbol.dispose](): void {
    for (const drain of this.#drains) drain?.[Symbol.dispose]();
  }
}
