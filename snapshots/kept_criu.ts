import type { InstalledCriu } from "./installed.ts";
import { loadForRestore } from "./load_for_restore.ts";
import type { WaitingCriu } from "./waiting.ts";

/** For how long one is kept when nobody uses it. */
const IDLE_MS = 60_000;
/** How long after a fork the next one is loaded: what the fork says first is read before. */
const LOAD_AFTER_MS = 1;

/** What a CRIU is loaded for. */
export interface CriuUse {
  readonly criu: InstalledCriu;
  /** Directory of the images. */
  readonly path: string;
  readonly isLazy: boolean;
}

interface Kept extends CriuUse {
  readonly waiting: WaitingCriu;
}

/** A CRIU that a process which makes one fork after the other has loaded for the next one. */
export class KeptCriu implements AsyncDisposable {
  readonly #idleMs: number;
  #kept: Kept | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor({ idleMs = IDLE_MS } = {}) {
    this.#idleMs = idleMs;
  }

  /** Whether there is one. */
  get isLoaded(): boolean {
    return this.#kept !== undefined;
  }

  /** One for a fork: that which was loaded for such a one, or one that is loaded from now on, if it can be. */
  async take(use: CriuUse): Promise<WaitingCriu | undefined> {
    clearTimeout(this.#timer);
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept && isSame(kept, use) && kept.waiting.isWaiting) return kept.waiting;
    const waiting = loadForRestore(use.criu, use.path, use);
    await kept?.waiting[Symbol.asyncDispose]();
    return waiting;
  }

  /** Has one be loaded for the next fork, which may come soon. */
  prepare(use: CriuUse): void {
    this.#after(LOAD_AFTER_MS, () => {
      try {
        // What is mounted until it is used, it is to see.
        const waiting = this.#kept
          ? undefined
          : loadForRestore(use.criu, use.path, { ...use, inHostMounts: true });
        if (waiting) this.#kept = { ...use, waiting };
      } catch {
        return; // the next fork says why CRIU cannot be started
      }
      this.#after(this.#idleMs, () => void this[Symbol.asyncDispose]());
    });
  }

  #after(ms: number, todo: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(todo, ms);
    Deno.unrefTimer(this.#timer);
  }

  /** Ends the one that nobody has used. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    const kept = this.#kept;
    this.#kept = undefined;
    await kept?.waiting[Symbol.asyncDispose]();
  }
}

function isSame(one: CriuUse, other: CriuUse): boolean {
  return one.path === other.path && one.isLazy === other.isLazy && one.criu.program === other.criu.program;
}

/** That of this process. */
export const keptCriu: KeptCriu = new KeptCriu();
