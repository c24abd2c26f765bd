import { resumeContainer } from "../../mod.ts";
import type { CommandHelp } from "../args.ts";
import { containerArguments } from "../containers.ts";
import type { Command, Global } from "../main.ts";

const help: CommandHelp = {
  name: "resume",
  summary: "Lets a paused container go on.",
  usage: ["ID"],
  flags: [],
  examples: ["runtime resume box1"],
};

async function run(argv: readonly string[], global: Global): Promise<number> {
  const { id, store } = containerArguments(help, argv, global);
  await resumeContainer(id, store);
  return 0;
}

export const command: Command = { help, run };
