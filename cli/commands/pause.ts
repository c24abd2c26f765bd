import { pauseContainer } from "../../mod.ts";
import type { CommandHelp } from "../args.ts";
import { containerArguments } from "../containers.ts";
import type { Command, Global } from "../main.ts";

const help: CommandHelp = {
  name: "pause",
  summary: "Stops all processes of a container where they are.",
  usage: ["ID"],
  flags: [],
  examples: ["runtime pause box1"],
};

async function run(argv: readonly string[], global: Global): Promise<number> {
  const { id, store } = containerArguments(help, argv, global);
  await pauseContainer(id, store);
  return 0;
}

export const command: Command = { help, run };
