import { Pages } from "./pages.ts";
import { lookAtImages, MOST_KEPT_BYTES, seenAgain } from "./seen.ts";

/** For how long it is kept when nobody uses it. */
const IDLE_MS = 60_000;

/** The pages of images, until it is disposed of. */
export interface LentPages extends Disposable {
  readonly pages: Pages;
}

interface Kept {
  readonly pages: Pages;
  readonly stamp: string;
  readonly bytes: number;
  users: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/**
 * The pages of images that this process makes containers from again and again: they are copied into memory once, and
 * given back when nobody has used them for a while.
 */
export class KeptPages implements Disposable {
  readonly #kept = new Map<string, Kept>();
  readonly #mostBytes: number;
  readonly #idleMs: number;

  constructor({ mostBytes = MOST_KEPT_BYTES, idleMs = IDLE_MS } = {}) {
    this.#mostBytes = mostBytes;
    this.#idleMs = idleMs;
  }

  /** How much memory is kept, also if nobody uses it. */
  get bytes(): number {
    return Array.from(this.#kept.values()).reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /**
   * The pages of images. From the second time on they are kept; they are read again only if a file of theirs has changed.
   *
   * @throws {UnsupportedError} as the constructor of {@linkcode Pages} does.
   */
  take(path: string): LentPages {
    const images = seenAgain(path);
    const one = this.#kept.get(path);
    if (one && one.stamp === images?.stamp) return this.#lend(path, one);
    this.#forget(path);
    const pages = new Pages(path);
    // What has changed meanwhile, or is too much, goes with who has asked for it.
    if (!images || lookAtImages(path)?.stamp !== images.stamp || !this.#makeRoom(images.bytes)) {
      return { pages, [Symbol.dispose]: () => pages[Symbol.dispose]() };
    }
    const kept = { pages, ...images, users: 0, timer: undefined };
    this.#kept.set(path, kept);
    return this.#lend(path, kept);
  }

  #lend(path: string, one: Kept): LentPages {
    one.users++;
    clearTimeout(one.timer);
    using lent = new DisposableStack(); // is disposed of only once
    lent.defer(() => {
      if (--one.users > 0) return;
      if (this.#kept.get(path) !== one) return one.pages[Symbol.dispose]();
      const timer = setTimeout(() => this.#forget(path), this.#idleMs);
      Deno.unrefTimer(timer);
      one.timer = timer;
    });
    const kept = lent.move();
    return { pages: one.pages, [Symbol.dispose]: () => kept.dispose() };
  }

  /** Gives back what is used by nobody, the oldest first, until there is room for so many bytes more, if that can be. */
  #makeRoom(bytes: number): boolean {
    const isRoom = (): boolean => this.bytes + bytes <= this.#mostBytes;
    for (const [path, { users }] of bytes <= this.#mostBytes ? this.#kept : []) {
      if (isRoom()) break;
      if (users === 0) this.#forget(path);
    }
    return isRoom();
  }

  /** It is given back now, or when the last one who uses it has ended. */
  #forget(path: string): void {
    const one = this.#kept.get(path);
    if (!one) return;
    clearTimeout(one.timer);
    this.#kept.delete(path);
    if (one.users === 0) one.pages[Symbol.dispose]();
  }

  /** Gives back all that nobody uses; the rest goes with who does. */
  [Symbol.dispose](): void {
    for (const path of [...this.#kept.keys()]) this.#forget(path);
  }
}

/** Those of this process. */
export const keptPages: KeptPages = new KeptPages();
