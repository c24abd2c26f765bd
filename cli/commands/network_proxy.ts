import { serveNetwork, UsageError } from "../../mod.ts";
import { type CommandHelp, readArguments } from "../args.ts";
import type { Command } from "../main.ts";

const help: CommandHelp = {
  name: "network-proxy",
  usage: ["--directory DIR"],
  summary: "decide over the traffic of the sandboxes of a network: for bin/runtime itself",
  flags: [{ name: "directory", value: "DIR", help: "the directory of the network" }],
  examples: [],
};

async function run(argv: readonly string[]): Promise<number> {
  const args = readArguments(help, argv);
  const directory = args.value("directory");
  if (directory === undefined || args.words.length > 0) {
    throw new UsageError("Cannot serve a network: name its directory with --directory DIR");
  }
  await serveNetwork(directory);
  return 0;
}

export const command: Command = { help, run };
