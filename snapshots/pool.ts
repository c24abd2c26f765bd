import { LifecycleError, UsageError } from "../runtime/errors.ts";
import { resumeContainer } from "../runtime/lifecycle/pause.ts";
import { Forkery, type ForkOptions, workers } from "./fork.ts";
import type { Fork } from "./forked.ts";
import type { ForkOrigin } from "./fork_source.ts";

/** The most forks that a pool keeps. */
const MOST_SIZE = 10_000;

/** Options of {@linkcode Pool}. */
export interface PoolOptions extends Omit<ForkOptions, "count" | "paused" | "onFork"> {
  /** How many forks are kept ready. */
  readonly size: number;
}

interface Waiter {
  readonly resolve: (fork: Fork) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Keeps forks of one state ready, each paused as soon as it was there, and makes another one for each that is taken.
 *
 * @example
 * ```ts
 * import { Pool } from "../mod.ts";
 * async function answer(question: string): Promise<string> {
 *   const options = { size: 4, bundle: "/srv/box", stdin: "piped", stdout: "piped" } as const;
 *   await using pool = await Pool.open({ images: "/srv/snap" }, options);
 *   await using fork = await pool.take();
 *   const input = fork.stdin!.getWriter();
 *   await input.write(new TextEncoder().encode(`${question}\n`));
 *   await input.close();
 *   return await new Response(fork.stdout).text();
 * }
 * ```
 */
export class Pool implements AsyncDisposable {
  readonly #forkery: Forkery;
  readonly #options: PoolOptions;
  readonly #ready: Fork[] = [];
  readonly #waiting: Waiter[] = [];
  readonly #making = new Set<Promise<void>>();
  #next: number;
  #isClosed = false;

  private constructor(forkery: Forkery, options: PoolOptions) {
    this.#forkery = forkery;
    this.#options = options;
    this.#next = options.first ?? 1;
  }

  /**
   * Opens what forks are made of and begins to make them.
   *
   * @throws as {@linkcode forkContainers} does.
   */
  static async open(origin: ForkOrigin, options: PoolOptions): Promise<Pool> {
    const { size } = options;
    if (!Number.isInteger(size) || size < 1 || size > MOST_SIZE) {
      throw new UsageError(`Cannot keep ${size} forks: ask for 1 to ${MOST_SIZE}`);
    }
    const pool = new Pool(await Forkery.open(origin, { ...options, paused: true }, false), options);
    pool.#fill();
    return pool;
  }

  /** How many can be taken at once. */
  get ready(): number {
    return this.#ready.length;
  }

  /**
   * A fork that goes on from now; it is the caller's, to be disposed of.
   *
   * @throws what kept it from being made, if none is ready and the next one fails.
   * @throws {LifecycleError} if the pool is closed.
   */
  async take(): Promise<Fork> {
    if (this.#isClosed) throw closed();
    const { promise, resolve, reject } = Promise.withResolvers<Fork>();
    this.#waiting.push({ resolve, reject });
    this.#serve();
    this.#fill();
    const fork = await promise;
    try {
      const { root } = this.#options;
      await resumeContainer(fork.id, root === undefined ? {} : { root });
      return fork;
    } catch (error) {
      await fork[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Ends the forks that nobody has taken, and waits for those that are being made. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const { reject } of this.#waiting.splice(0)) reject(closed());
    await Promise.all(this.#making);
    await Promise.all(this.#ready.splice(0).map((fork) => fork[Symbol.asyncDispose]()));
    this.#forkery[Symbol.dispose]();
  }

  /** Makes as many as are missing, for those who wait and for those who will come, not all at once. */
  #fill(): void {
    const { size, atOnce } = this.#options;
    const missing = (): number => size + this.#waiting.length - this.#ready.length - this.#making.size;
    while (!this.#isClosed && missing() > 0 && this.#making.size < workers(atOnce)) {
      const made = this.#make().then((isMade) => {
        this.#making.delete(made);
        if (isMade) this.#fill(); // otherwise the next who takes one has it tried again
      });
      this.#making.add(made);
    }
  }

  async #make(): Promise<boolean> {
    const outcome = await this.#forkery.make(this.#next++, this.#options.size);
    if ("error" in outcome) {
      this.#waiting.shift()?.reject(outcome.error);
      return false;
    }
    this.#ready.push(outcome.fork);
    this.#serve();
    return true;
  }

  #serve(): void {
    while (this.#waiting.length > 0 && this.#ready.length > 0) {
      this.#waiting.shift()!.resolve(this.#ready.shift()!);
    }
  }
}

function closed(): LifecycleError {
  return new LifecycleError("Cannot take a fork: the pool is closed");
}
