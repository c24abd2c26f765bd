import { AdoptedContainer, AdoptedSandbox, UsageError } from "../../mod.ts";
import { type CommandHelp, readArguments } from "../args.ts";
import { forwardSignals } from "../attach.ts";
import type { Command, Global } from "../main.ts";
import { whyEnded } from "../why_ended.ts";

const help: CommandHelp = {
  name: "adopt",
  usage: ["INIT GUARD GATE", "--container ID INIT [late]"],
  summary: "supervise a sandbox that this process has started before it was Deno: for bin/runtime itself",
  flags: [{
    name: "container",
    value: "ID",
    help: "it is a container; late: its program has not begun in time",
  }],
  examples: [],
};

async function run(argv: readonly string[], { root }: Global): Promise<number> {
  const { words, value } = readArguments(help, argv);
  const container = value("container");
  if (container !== undefined) return await goOnWith(container, words, root);
  if (words.length !== 3 || !words.every((word) => /^\d{1,10}$/.test(word))) {
    throw new UsageError(`Cannot adopt "${words.join(" ")}": it takes three numbers`);
  }
  const [init, guard, gate] = words.map(Number) as [number, number, number];
  await using sandbox = new AdoptedSandbox({ init, guard, gate });
  using _signals = forwardSignals(Promise.resolve(sandbox));
  sandbox.hearSignals();
  const result = await sandbox.wait();
  const why = whyEnded(result);
  if (why !== undefined) await Deno.stderr.write(new TextEncoder().encode(`runtime: ${why}\n`));
  return result.exitCode;
}

async function goOnWith(id: string, words: readonly string[], root: string | undefined): Promise<number> {
  const [init = "", late, ...more] = words;
  if (!/^\d{1,10}$/.test(init) || more.length > 0 || (late ?? "late") !== "late") {
    throw new UsageError(`Cannot adopt "${words.join(" ")}": it takes the number of a first process`);
  }
  await using container = new AdoptedContainer(id, {
    init: Number(init),
    ...(root !== undefined && { root }),
  });
  if (late) throw container.late();
  using _signals = forwardSignals(Promise.resolve(container));
  container.hearSignals();
  return await container.wait();
}

export const command: Command = { help, run };
