import { serveNetwork, UsageError } from "../../mod.ts";
import { type CommandHelp, readArguments } from "../args.ts";
import type { Command } from "../main.ts";

const help: CommandHelp = {
  name: "network-proxy",
  usage: ["--directory DIR [--kept FD]"],
  summary: "decide over the traffic of the sandboxes of a network: for bin/runtime itself",
  flags: [
    { name: "directory", value: "DIR", help: "the directory of the network" },
    { name: "kept", value: "FD", help: "a file in memory that outlives it, for what must not be on disk" },
  ],
  examples: [],
};

async function run(argv: readonly string[]): Promise<number> {
  const args = readArguments(help, argv);
  const directory = args.value("directory");
  if (directory === undefined || args.words.length > 0) {
    throw new UsageError("Cannot serve a network: name its directory with --directory DIR");
  }
  const kept = args.value("kept");
  if (kept !== undefined && !/^[0-9]{1,4}$/.test(kept)) {
    throw new UsageError(`Cannot use "${kept}" for --kept: the number of a descriptor is needed`);
  }
  return await serveNetwork(directory, kept === undefined ? undefined : Number(kept));
}

export const command: Command = { help, run };
