import { AdoptedSandbox, UsageError } from "../../mod.ts";
import { type CommandHelp, readArguments } from "../args.ts";
import { forwardSignals } from "../attach.ts";
import type { Command } from "../main.ts";
import { whyEnded } from "../why_ended.ts";

const help: CommandHelp = {
  name: "adopt",
  usage: ["INIT GUARD GATE"],
  summary: "supervise a sandbox that this process has started before it was Deno: for bin/runtime itself",
  flags: [],
  examples: [],
};

async function run(argv: readonly string[]): Promise<number> {
  const { words } = readArguments(help, argv);
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

export const command: Command = { help, run };
