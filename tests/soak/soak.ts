import { fromFileUrl } from "@std/path";
import { libc } from "../../ffi/libc.ts";
import { LaunchError, LifecycleError, SyscallError, UnsupportedError } from "../../mod.ts";
import { cycle, type Fate, FATES } from "./cycle.ts";
import { Fixture, type Kind, KINDS, SUPERVISED } from "./fixture.ts";
import { type Holdings, holdings, left } from "./holdings.ts";
import { pick, randomOf } from "./random.ts";

const PR_SET_CHILD_SUBREAPER = 36;
const SUPERVISOR = fromFileUrl(new URL("supervisor.ts", import.meta.url));
/** How many of the cycles are interrupted. */
const INTERRUPTED = 0.1;
/** How long a killed supervisor may have lived, after its first sandbox. */
const SUPERVISOR_MS = 300;
const WARM_CYCLES = 300;
const WARM_ROUNDS = 10;
/** Nothing takes so long: then something waits for what does not come. */
const STUCK_MS = 60_000;
const WATCH_MS = 2_000;
/** The heap after a collection moves by what V8 has compiled meanwhile. */
const HEAP_MOVES_BYTES = 4 << 20;
/** Pages that the allocator keeps are given back late or never. */
const RESIDENT_MOVES_BYTES = 32 << 20;
const QUIET = { stdin: "null", stdout: "piped", stderr: "null" } as const;

/** How much to do. */
export interface SoakOptions {
  /** Sandboxes one after the other. */
  readonly cycles: number;
  /** Sandboxes at the same time… */
  readonly workers: number;
  /** … each so often. */
  readonly rounds: number;
  /** Processes with sandboxes that are killed. */
  readonly supervisors: number;
  /** Of which kinds. @default all */
  readonly kinds?: readonly Kind[];
  /** What chance makes of it; the moments at which things are killed differ all the same. */
  readonly seed: number;
  /** How long what ends may take to be gone. */
  readonly waitMs: number;
  /** Called with a line of figures every few seconds. */
  readonly progress?: (line: string) => void;
  /** Called when all is done, before stock is taken: what it leaves must be found. It returns how to undo that. */
  readonly plant?: (directory: string) => () => Promise<void> | void;
}

/** What came of it. */
export interface SoakReport {
  /** Figures, a line each. */
  readonly figures: readonly string[];
  /** What is wrong: what is left by name, memory that grew, sandboxes that did not end as they should. */
  readonly problems: readonly string[];
}

/** Makes, runs and deletes sandboxes of all kinds, a tenth of them interrupted, and takes stock before and after. */
export async function soak(options: SoakOptions): Promise<SoakReport> {
  using fixture = new Fixture();
  const temporary = Deno.env.get("TMPDIR");
  Deno.env.set("TMPDIR", fixture.path); // so that temporary files are found as well
  // What a killed supervisor has left becomes a child of ours, and is found.
  libc.prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n);
  try {
    return await new Run(fixture, options).all();
  } finally {
    libc.prctl(PR_SET_CHILD_SUBREAPER, 0n, 0n, 0n, 0n);
    if (temporary === undefined) Deno.env.delete("TMPDIR");
    else Deno.env.set("TMPDIR", temporary);
  }
}

class Run {
  readonly #fixture: Fixture;
  readonly #options: SoakOptions;
  readonly #random: () => number;
  readonly #fates = new Map<Fate, number>();
  readonly #failures: string[] = [];
  readonly #begun = new Map<number, { what: string; at: number }>();
  #count = 0;
  #casualties = 0;
  #phase = "warming up";

  constructor(fixture: Fixture, options: SoakOptions) {
    this.#fixture = fixture;
    this.#options = options;
    this.#random = randomOf(options.seed);
  }

  async all(): Promise<SoakReport> {
    const { cycles, workers, rounds, supervisors, plant } = this.#options;
    const stuck = Promise.withResolvers<never>();
    const timer = setInterval(() => this.#watch(stuck.reject), WATCH_MS);
    try {
      const figures: string[] = [];
      const timed = async (name: string, count: number, body: () => Promise<void>): Promise<void> => {
        this.#phase = name;
        const begin = performance.now();
        await Promise.race([body(), stuck.promise]);
        const seconds = (performance.now() - begin) / 1000;
        figures.push(`${name}: ${count} in ${seconds.toFixed(1)} s, ${(count / seconds).toFixed(0)}/s`);
      };
      openSignalSockets();
      await this.#sequence(Math.min(cycles, WARM_CYCLES));
      await this.#together(workers, Math.min(rounds, WARM_ROUNDS));
      await this.#supervisors(Math.min(supervisors, 1));
      const before = await this.#settled();
      const memory = memoryNow();
      const done = this.#count;

      await timed("one after the other", cycles, () => this.#sequence(cycles));
      await timed(`${workers} at a time`, workers * rounds, () => this.#together(workers, rounds));
      await timed("supervisors killed", supervisors, () => this.#supervisors(supervisors));

      this.#phase = "taking stock";
      const undo = plant?.(this.#fixture.path);
      const problems = [...this.#failures, ...await this.#left(before, this.#count - done)];
      await undo?.();
      const now = memoryNow();
      figures.push(
        `ends: ${[...this.#fates].map(([fate, count]) => `${fate} ${count}`).join(", ")}`,
        `strikes that hit something: ${this.#casualties} of ${this.#fates.get("struck") ?? 0}`,
        `heap: ${mib(memory.heap)} → ${mib(now.heap)} MiB, resident: ${mib(memory.resident)} → ${
          mib(now.resident)
        } MiB`,
      );
      if (canCollect() && now.heap > memory.heap + HEAP_MOVES_BYTES) problems.push("the heap has grown");
      if (canCollect() && now.resident > memory.resident + RESIDENT_MOVES_BYTES) {
        problems.push("resident memory has grown");
      }
      return { figures, problems };
    } finally {
      clearInterval(timer);
    }
  }

  async #sequence(cycles: number): Promise<void> {
    for (let done = 0; done < cycles; done++) await this.#one();
    this.#judge();
  }

  async #together(workers: number, rounds: number): Promise<void> {
    const work = async (): Promise<void> => {
      for (let round = 0; round < rounds; round++) await this.#one();
    };
    await Promise.all(Array.from({ length: workers }, work));
    this.#judge();
  }

  async #one(): Promise<void> {
    const kind = pick(this.#options.kinds ?? KINDS, this.#random);
    const fate = this.#random() < INTERRUPTED ? pick(FATES.slice(1), this.#random) : "ends";
    const number = this.#count++;
    this.#begun.set(number, { what: `${kind}, ${fate}`, at: performance.now() });
    this.#fates.set(fate, (this.#fates.get(fate) ?? 0) + 1);
    try {
      await cycle(this.#fixture, kind, fate, this.#random);
    } catch (error) {
      // A strike hits a sandbox that is not told of it: more than that must not fail, and not in another way.
      this.#casualties++;
      const message = `${kind}, ${fate}: ${error instanceof Error ? error.message : error}`;
      if (!isExpected(error)) this.#failures.push(message);
      else if (this.#casualties > this.#struck) {
        this.#failures.push(`${message}, though nothing had struck it`);
      }
    } finally {
      this.#begun.delete(number);
    }
  }

  get #struck(): number {
    return this.#fates.get("struck") ?? 0;
  }

  #judge(): void {
    if (this.#casualties > this.#struck) {
      this.#failures.push(`${this.#casualties} sandboxes failed after ${this.#struck} strikes`);
    }
  }

  /** Processes that hold sandboxes, each killed at a moment of its own. */
  async #supervisors(count: number): Promise<void> {
    const kinds = this.#options.kinds ?? SUPERVISED;
    for (let done = 0; done < count; done++) {
      const seed = String(Math.floor(this.#random() * 2 ** 31));
      const args = ["run", "-A", "--no-check", SUPERVISOR, this.#fixture.path, seed, ...kinds];
      await using child = new Deno.Command(Deno.execPath(), { args, ...QUIET }).spawn();
      const said = child.stdout.getReader();
      const first = await said.read();
      if (first.done) throw new Error(`A supervisor ended by itself: ${(await child.status).code}`);
      await pause(this.#random() * SUPERVISOR_MS);
      child.kill("SIGKILL");
      await child.status;
      await said.cancel();
      this.#count++;
    }
  }

  /** What there is when nothing moves any more. */
  async #settled(): Promise<Holdings> {
    const deadline = performance.now() + this.#options.waitMs;
    let [before, now] = [holdings(this.#fixture.path), holdings(this.#fixture.path)];
    do {
      await pause(100);
      [before, now] = [now, holdings(this.#fixture.path)];
    } while (performance.now() < deadline && now.lines.symmetricDifference(before.lines).size > 0);
    return now;
  }

  async #left(before: Holdings, sandboxes: number): Promise<string[]> {
    const deadline = performance.now() + this.#options.waitMs;
    for (;;) {
      const found = left(before, holdings(this.#fixture.path), sandboxes);
      if (found.length === 0 || performance.now() > deadline) return found.map((one) => `left: ${one}`);
      await pause(100);
    }
  }

  #watch(stuck: (error: Error) => void): void {
    const figures = `${this.#count} so far, ${this.#begun.size} live`;
    const resident = mib(Deno.memoryUsage().rss);
    this.#options.progress?.(`${this.#phase}: ${figures}, resident ${resident} MiB`);
    for (const { what, at } of this.#begun.values()) {
      if (performance.now() - at > STUCK_MS) stuck(new Error(`A sandbox does not end: ${what}`));
    }
  }
}

/** What a sandbox may say of which a process was killed. */
function isExpected(error: unknown): boolean {
  return error instanceof LaunchError || error instanceof LifecycleError || error instanceof SyscallError ||
    error instanceof UnsupportedError ||
    error instanceof Error && /^(Found|Cannot start the sandbox|EPIPE|Broken pipe)/.test(error.message);
}

/** Whether the heap can be told from what waits for collection: `--v8-flags=--expose-gc`. */
function canCollect(): boolean {
  return "gc" in globalThis;
}

function memoryNow(): { heap: number; resident: number } {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, rss } = Deno.memoryUsage();
  return { heap: heapUsed, resident: rss };
}

/** Deno opens two sockets for signals, at some moment, and keeps them: now. */
function openSignalSockets(): void {
  const ignore = (): void => {};
  Deno.addSignalListener("SIGHUP", ignore);
  Deno.removeSignalListener("SIGHUP", ignore);
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}

function pause(timeoutMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, timeoutMs));
}
