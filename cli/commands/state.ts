import { containerState, stateText } from "../../mod.ts";
import type { CommandHelp } from "../args.ts";
import { containerArguments } from "../containers.ts";
import type { Command, Global } from "../main.ts";
import { print } from "../print.ts";

const help: CommandHelp = {
  name: "state",
  summary: "Prints the state of a container as JSON, as the OCI specification writes it.",
  usage: ["ID"],
  flags: [],
  examples: ["runtime state box1"],
};

async function run(argv: readonly string[], global: Global): Promise<number> {
  const { id, store } = containerArguments(help, argv, global);
  await print(stateText(containerState(id, store)));
  return 0;
}

export const command: Command = { help, run };
