import { containerState } from "../../mod.ts";
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
  const { ownerId: _, ...state } = containerState(id, store);
  // runc leaves the owner empty here; who parses its output finds the property.
  await print(JSON.stringify({ ...state, owner: "" }, null, 2));
  return 0;
}

export const command: Command = { help, run };
