import { killContainer } from "../../mod.ts";
import type { CommandHelp } from "../args.ts";
import { containerArguments } from "../containers.ts";
import type { Command, Global } from "../main.ts";

const help: CommandHelp = {
  name: "kill",
  summary: "Sends a signal to the first process of a container, SIGTERM unless another is named.",
  usage: ["[FLAGS] ID [SIGNAL]"],
  flags: [{ name: "all", short: "a", help: "to every process of the container" }],
  examples: ["runtime kill box1", "runtime kill box1 HUP", "runtime kill --all box1 9"],
};

async function run(argv: readonly string[], global: Global): Promise<number> {
  const { args, id, more: [signal = "SIGTERM"], store } = containerArguments(help, argv, global, 2);
  await killContainer(id, signal, { ...store, all: args.has("all") });
  return 0;
}

export const command: Command = { help, run };
