import { startContainer } from "../../mod.ts";
import type { CommandHelp } from "../args.ts";
import { containerArguments } from "../containers.ts";
import { notifySocket } from "../create.ts";
import type { Command, Global } from "../main.ts";

const help: CommandHelp = {
  name: "start",
  summary: "Lets the program of a created container begin.",
  usage: ["ID"],
  flags: [],
  examples: ["runtime start box1"],
};

async function run(argv: readonly string[], global: Global): Promise<number> {
  const { id, store } = containerArguments(help, argv, global);
  await startContainer(id, { ...store, notifySocket: notifySocket() });
  return 0;
}

export const command: Command = { help, run };
