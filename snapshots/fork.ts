import { resolve } from "@std/path";
import { open } from "../ffi/fd.ts";
import type { Bundle } from "../runtime/bundle.ts";
import { UsageError } from "../runtime/errors.ts";
import { killContainer } from "../runtime/lifecycle/kill.ts";
import { pauseContainer } from "../runtime/lifecycle/pause.ts";
import { checkId } from "../runtime/state/container_id.ts";
import { nameProcess } from "../runtime/state/liveness.ts";
import type { Entry } from "../runtime/state/store.ts";
import { connect, type StdioChoice } from "../runtime/supervise/ends.ts";
import { signalNumber } from "../runtime/supervise/signals.ts";
import { checkForkable, forkBundle } from "./fork_bundle.ts";
import { Fork } from "./forked.ts";
import { changesOf, machineIdOf, withMachineId, writeMachineId } from "./fork_parts.ts";
import { markPlace, writeMark } from "./fork_mark.ts";
import { type ForkOrigin, type ForkSource, openSource } from "./fork_source.ts";
import { findCriu, type InstalledCriu } from "./installed.ts";
import { kindOf } from "./open_images.ts";
import { type CriuUse, keptCriu } from "./kept_criu.ts";
import type { CriuOptions } from "./options.ts";
import { type ForkPages, isLikelyLazy, type LazyOption, pagesOfForks } from "./pager/option.ts";
import type { LentPages } from "./pager/kept.ts";
import { restoreInto } from "./restore.ts";
import type { Stdio } from "./restore_externals.ts";
import type { WaitingCriu } from "./waiting.ts";

/** The most forks that are made at once. */
const MOST_AT_ONCE = 64;
const MOST_FORKS = 100_000;
const [O_RDWR, O_WRONLY_CREATE] = [2, 1 | 0o100 | 0o2000]; // O_WRONLY | O_CREAT | O_APPEND

/** Options of {@linkcode forkContainers}. */
export interface ForkOptions extends Omit<CriuOptions, "imagePath" | "autoDedup" | "lazyPages">, LazyOption {
  /** Directory of the bundle. @default that of the container; for images the working directory */
  readonly bundle?: string | undefined;
  /** How many. @default {1} */
  readonly count?: number;
  /** Forks are called `name-1`, `name-2`, …. @default the id of the container that they are forks of */
  readonly name?: string | undefined;
  /** The number of the first. @default {1} */
  readonly first?: number;
  /** How many are made at the same time. @default twice as many as there are processors: each waits now and then */
  readonly atOnce?: number | undefined;
  /** A signal for the first process of each, when it goes on: `"USR1"`. */
  readonly signal?: string | number | undefined;
  /** Each is paused as soon as it is there. */
  readonly paused?: boolean;
  /** What each reads: nothing, or a stream of its {@linkcode Fork}. @default {"null"} */
  readonly stdin?: Exclude<StdioChoice, "inherit">;
  /** What becomes of what each prints. @default {"null"} */
  readonly stdout?: Exclude<StdioChoice, "inherit">;
  /** What becomes of what each complains of. @default {"null"} */
  readonly stderr?: Exclude<StdioChoice, "inherit">;
  /** A directory where each writes files of its own: `ID.out` and `ID.err`. */
  readonly output?: string | undefined;
  /** Hears of each as soon as it runs, or cannot be made. */
  readonly onFork?: (outcome: ForkOutcome) => void;
}

/** What became of one fork. */
export type ForkOutcome =
  | { readonly id: string; readonly number: number; readonly fork: Fork; readonly tookMs: number }
  | { readonly id: string; readonly number: number; readonly error: unknown };

/**
 * Makes containers from one state: each goes on where that was, with an id, host name, cgroup, network and stdio of its
 * own. One that cannot be made does not hinder the others.
 *
 * @param origin The images of a checkpoint, or a container that runs; it goes on.
 * @returns What became of each, in the order of their numbers.
 * @throws {LifecycleError} if none can be made: the images cannot be used, or the container does not run.
 */
export async function forkContainers(origin: ForkOrigin, options: ForkOptions = {}): Promise<ForkOutcome[]> {
  const { count = 1, first = 1, atOnce } = options;
  using forkery = await Forkery.open(origin, options, count === 1);
  const outcomes: ForkOutcome[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count) {
      const index = next++;
      const outcome = await forkery.make(first + index, count);
      outcomes[index] = outcome;
      options.onFork?.(outcome);
    }
  };
  await Promise.all(Array.from({ length: Math.min(count, workers(atOnce)) }, work));
  return outcomes;
}

/** Opened images, from which forks are made one by one. */
export class Forkery implements Disposable {
  readonly #source: ForkSource;
  /** Nothing where programs are begun anew. */
  readonly #criu: InstalledCriu | undefined;
  readonly #pages: LentPages | undefined;
  readonly #told: ForkPages;
  readonly #options: ForkOptions;
  readonly #name: string;
  /** For the first one, if there is only that. */
  #waiting: WaitingCriu | undefined;
  /** What the next one will need, if one comes after the other. */
  readonly #next: CriuUse | undefined;

  private constructor(
    source: ForkSource,
    { criu, pages, told, waiting, next }: {
      readonly criu: InstalledCriu | undefined;
      readonly pages: LentPages | undefined;
      readonly told: ForkPages;
      readonly waiting: WaitingCriu | undefined;
      readonly next: CriuUse | undefined;
    },
    options: ForkOptions,
  ) {
    this.#source = source;
    this.#criu = criu;
    this.#pages = pages;
    this.#told = told;
    this.#waiting = waiting;
    this.#next = next;
    this.#options = options;
    this.#name = options.name ?? source.id;
  }

  /**
   * Opens what forks are made of, and verifies it once for all of them.
   *
   * @param isAlone Whether there will be one fork only.
   */
  static async open(origin: ForkOrigin, options: ForkOptions, isAlone: boolean): Promise<Forkery> {
    refuse(options);
    await using early = new AsyncDisposableStack();
    const use = isAlone && "images" in origin ? useOf(origin.images, options) : undefined;
    const waiting = use && await keptCriu.take(use);
    if (waiting) early.use(waiting);
    using stack = new DisposableStack();
    const source = stack.use(await openSource(origin, options.bundle, options));
    const criu = source.images.manifest?.kind === "light" ? undefined : use?.criu ?? findCriu(options.criu);
    checkForkable(source.bundle.spec);
    const { pages, told } = await pagesOfForks(source.images, options, isAlone);
    if (pages) stack.use(pages);
    const next = use && told.how === "lazy" ? use : undefined;
    const forkery = new Forkery(source, { criu, pages, told, waiting, next }, options);
    stack.move();
    early.move();
    return forkery;
  }

  /** Makes the fork of a number; it never throws. */
  async make(number: number, count: number): Promise<ForkOutcome> {
    const id = `${this.#name}-${number}`;
    const began = performance.now();
    try {
      const fork = await this.#fork(id, number, count);
      return { id, number, fork, tookMs: performance.now() - began };
    } catch (error) {
      return { id, number, error };
    }
  }

  async #fork(id: string, number: number, count: number): Promise<Fork> {
    await using waiting = this.#waiting;
    this.#waiting = undefined;
    checkId(id);
    const { images, bundle: source } = this.#source;
    const { workPath, signal, paused, output, root } = this.#options;
    using ours = new DisposableStack();
    using theirs = new DisposableStack();
    const stdio = output === undefined ? this.#ends(ours, theirs) : files(output, id, theirs);
    const place = markPlace(source.spec, images.manifest);
    const mark = { id, number, count, source: this.#source.id, forked: new Date().toISOString() };
    const machineId = machineIdOf(source);
    const wanted = {
      options: this.#options,
      stdio: stdio.fds,
      bundle: (entry: Entry): Bundle => {
        return forkBundle(source, { id, ...(machineId && { machineId: writeMachineId(entry) }) });
      },
    };
    const markIt = (pid: number): void => {
      if (place !== undefined) writeMark(pid, source.spec, place, mark);
    };
    const restored = this.#criu
      ? await restoreInto(id, {
        ...wanted,
        criu: this.#criu,
        waiting,
        images: machineId === "root" ? withMachineId(images) : images,
        pages: this.#pages?.pages,
        change: (bundle) => changesOf(images, bundle, machineId === "root"),
        beforeResume: markIt,
        ...(workPath !== undefined && { logPath: `${workPath}/${id}` }),
      })
      : await (await import("./light/begin.ts")).beginAnew(id, { ...wanted, images, beforeStart: markIt });
    // Another container may have its name by now.
    const store = { ...(root !== undefined && { root }), init: nameProcess(restored.pid) };
    const fork = new Fork({
      id,
      number,
      restored,
      streams: ours.move(),
      ends: stdio,
      store,
      pages: this.#told,
    });
    try {
      if (signal !== undefined) await killContainer(id, String(signal), store);
      if (paused) await pauseContainer(id, store);
      return fork;
    } catch (error) {
      await fork[Symbol.asyncDispose]();
      throw error;
    }
  }

  #ends(ours: DisposableStack, theirs: DisposableStack): Ends {
    const { stdin = "null", stdout = "null", stderr = "null" } = this.#options;
    const [input, output, errors] = [
      connect(stdin, 0, ours, theirs),
      connect(stdout, 1, ours, theirs),
      connect(stderr, 2, ours, theirs),
    ];
    return {
      fds: [input.fd, output.fd, errors.fd],
      stdin: input.end,
      stdout: output.end,
      stderr: errors.end,
    };
  }

  /** Removes what was only made to fork from; forks go on. */
  [Symbol.dispose](): void {
    this.#pages?.[Symbol.dispose]();
    this.#source[Symbol.dispose]();
    if (this.#next) keptCriu.prepare({ ...this.#next, isLazy: true });
  }
}

interface Ends extends Pick<ConstructorParameters<typeof Fork>[0]["ends"], "stdin" | "stdout" | "stderr"> {
  readonly fds: Stdio;
}

function files(directory: string, id: string, theirs: DisposableStack): Ends {
  Deno.mkdirSync(directory, { recursive: true });
  const file = (name: string): number =>
    theirs.use(open(`${directory}/${id}.${name}`, O_WRONLY_CREATE, 0o600)).raw;
  const input = theirs.use(open("/dev/null", O_RDWR)).raw;
  return { fds: [input, file("out"), file("err")], stdin: undefined, stdout: undefined, stderr: undefined };
}

/** What CRIU is loaded for before a single fork of images is looked at: what is wrong with them is said later. */
function useOf(images: string, options: ForkOptions): CriuUse | undefined {
  if (kindOf(images) === "light") return undefined;
  return { criu: findCriu(options.criu), path: resolve(images), isLazy: isLikelyLazy(images, options) };
}

/** How many forks are made at the same time. */
export function workers(atOnce: number | undefined): number {
  return Math.min(atOnce ?? 2 * navigator.hardwareConcurrency, MOST_AT_ONCE);
}

function refuse({ count = 1, first = 1, atOnce = 1, output, stdout, stderr, signal }: ForkOptions): void {
  const whole = (value: number, least: number): boolean => Number.isInteger(value) && value >= least;
  if (!whole(count, 1) || count > MOST_FORKS) {
    throw new UsageError(`Cannot make ${count} forks: ask for 1 to ${MOST_FORKS}`);
  }
  if (!whole(first, 0) || !whole(atOnce, 1)) {
    throw new UsageError(`Cannot use ${whole(first, 0) ? atOnce : first}: it must be a whole number`);
  }
  if (signal !== undefined) signalNumber(signal);
  if (output !== undefined && (stdout !== undefined || stderr !== undefined)) {
    throw new UsageError("Cannot both write the output of forks to files and pass it on: choose one");
  }
}
