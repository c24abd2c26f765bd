import { deleteContainer } from "../../mod.ts";
import type { CommandHelp } from "../args.ts";
import { containerArguments } from "../containers.ts";
import type { Command, Global } from "../main.ts";
import { warn } from "../report.ts";

const help: CommandHelp = {
  name: "delete",
  summary: "Removes a container that does not run, with all that belongs to it.",
  usage: ["[FLAGS] ID"],
  flags: [{ name: "force", short: "f", help: "end it first if it runs; it need not be there at all" }],
  examples: ["runtime delete box1", "runtime delete --force box1"],
};

async function run(argv: readonly string[], global: Global): Promise<number> {
  const { args, id, store } = containerArguments(help, argv, global);
  const onWarning = (warning: string): void => warn(warning, global);
  await deleteContainer(id, { ...store, force: args.has("force"), onWarning });
  return 0;
}

export const command: Command = { help, run };
