import { forkContainers, type ForkOptions, type ForkOutcome, readOrigin, UsageError } from "../../mod.ts";
import { type Arguments, type CommandHelp, count } from "../args.ts";
import { containerArguments } from "../containers.ts";
import { CRIU_FLAGS, criuOptions, EAGER, LAZY } from "../criu.ts";
import type { Command, Global } from "../main.ts";
import { print } from "../print.ts";
import { messageOf, report } from "../report.ts";

/** What a fork has no use for: its images are what it is made from. */
const LEFT_OUT = ["image-path", "auto-dedup", "lazy-pages"];

const help: CommandHelp = {
  name: "fork",
  summary: "Makes containers from one state, each of which goes on from there under a name of its own.\n" +
    "The state is the images of a checkpoint, a snapshot, or that of a container that runs, and goes on.",
  usage: ["[FLAGS] DIR|ID|SNAPSHOT"],
  flags: [
    { name: "count", short: "n", value: "N", help: "how many (default 1)" },
    {
      name: "store",
      value: "DIR",
      help: "where snapshots are kept (default /var/lib/ai-sandbox/snapshots)",
    },
    { name: "name", value: "NAME", help: "call them NAME-1, NAME-2, … (default the id of their source)" },
    { name: "first", value: "N", help: "the number of the first (default 1)" },
    {
      name: "bundle",
      short: "b",
      value: "DIR",
      help: "the bundle (default that of ID; with DIR the working directory)",
    },
    {
      name: "output",
      value: "DIR",
      help: "write what each prints to DIR/NAME-N.out and .err (default nowhere)",
    },
    { name: "signal", value: "SIGNAL", help: "send it to the first process of each, when it goes on" },
    { ...LAZY, help: `${LAZY.help} (default for several forks, where it is safe)` },
    EAGER,
    { name: "paused", help: "pause each as soon as it is there" },
    { name: "at-once", value: "N", help: "how many are made at the same time (default two a processor)" },
    { name: "format", value: "text|json", help: "how the result is printed (default text: an id a line)" },
    ...CRIU_FLAGS.filter(({ name }) => !LEFT_OUT.includes(name)),
  ],
  examples: [
    "runtime fork -n 10 box1",
    "runtime fork -n 10 --bundle /srv/box --name try --output out /srv/snap",
  ],
};

async function run(argv: readonly string[], global: Global): Promise<number> {
  const { args, id: word } = containerArguments(help, argv, global);
  const format = args.value("format") ?? "text";
  if (format !== "text" && format !== "json") {
    throw new UsageError(`Cannot use "${format}" for --format: write text or json`);
  }
  const number = (name: string, least: number): number | undefined => {
    const text = args.value(name);
    return text === undefined ? undefined : count(text, `--${name}`, least);
  };
  const [asked = 1, first = 1, atOnce] = [number("count", 1), number("first", 0), number("at-once", 1)];
  const progress = new Progress(asked);
  const began = performance.now();
  const { imagePath: _, ...criu } = criuOptions(args, global);
  const options: ForkOptions = {
    ...criu,
    pages: pagesOf(args),
    bundle: args.value("bundle"),
    count: asked,
    first,
    atOnce,
    name: args.value("name"),
    output: args.value("output"),
    signal: args.value("signal"),
    paused: args.has("paused"),
    onFork: () => progress.step(),
  };
  const outcomes = await forkContainers(readOrigin(word, global.root, args.value("store")), options).finally(
    () => progress.end(),
  );
  const failed = outcomes.filter((each) => "error" in each);
  if (format === "json") {
    await print(
      `${JSON.stringify({ forks: outcomes.map(plain), tookMs: round(performance.now() - began) })}\n`,
    );
  } else await print(outcomes.map((each) => "fork" in each ? `${each.id}\n` : "").join(""));
  for (const { id, error } of failed) {
    report(error, global, `Cannot make fork "${id}": `);
  }
  return failed.length > 0 ? 1 : 0;
}

/** What was asked for, if anything was. */
function pagesOf(args: Arguments): ForkOptions["pages"] {
  const [lazy, eager] = [args.has("lazy"), args.has("eager")];
  if (lazy && eager) throw new UsageError("Cannot use both --lazy and --eager: choose one");
  return lazy ? "lazy" : eager ? "eager" : undefined;
}

/** An outcome without what only this process can use. */
function plain(outcome: ForkOutcome): Record<string, unknown> {
  const { id, number } = outcome;
  if ("error" in outcome) return { id, number, error: messageOf(outcome.error) };
  const { pid, pages: { how, why } } = outcome.fork;
  return { id, number, pid, tookMs: round(outcome.tookMs), pages: how, ...(why && { eager: why }) };
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}

/** Says on a terminal how many are done. */
class Progress {
  #done = 0;
  readonly #isShown: boolean;

  constructor(readonly count: number) {
    this.#isShown = count > 1 && Deno.stderr.isTerminal();
  }

  step(): void {
    this.#done++;
    this.#show(`${this.#done} of ${this.count} forks`);
  }

  end(): void {
    this.#show("");
  }

  #show(text: string): void {
    if (this.#isShown) Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
  }
}

export const command: Command = { help, run };
