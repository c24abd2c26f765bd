import config from "../../deno.json" with { type: "json" };
import { features, UsageError } from "../../mod.ts";
import { type CommandHelp, readArguments } from "../args.ts";
import type { Command } from "../main.ts";
import { print } from "../print.ts";

const help: CommandHelp = {
  name: "features",
  summary: "Prints what this version can apply, as the OCI features document in JSON.",
  usage: [""],
  flags: [],
  examples: ["runtime features | jq .linux.seccomp.supportedFlags"],
};

async function run(argv: readonly string[]): Promise<number> {
  const { words, rest } = readArguments(help, argv);
  if (words.length > 0 || rest) {
    throw new UsageError(`Cannot use "${argv.join(" ")}": features takes no arguments`);
  }
  const document = features({ "ai-sandbox.version": config.version });
  await print(JSON.stringify(document, null, 2) + "\n");
  return 0;
}

export const command: Command = { help, run };
