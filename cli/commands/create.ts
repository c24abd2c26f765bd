import { expectToJoin } from "../../mod.ts";
import type { CommandHelp } from "../args.ts";
import { containerArguments } from "../containers.ts";
import { CREATE_FLAGS, createFrom, managerOf } from "../create.ts";
import type { Command, Global } from "../main.ts";
import { warn } from "../report.ts";

const help: CommandHelp = {
  name: "create",
  summary: "Makes a container from a bundle: all is built, and the program waits for start.",
  usage: ["[FLAGS] ID"],
  flags: CREATE_FLAGS,
  examples: ["runtime create --bundle /srv/box box1 && runtime start box1"],
};

async function run(argv: readonly string[], global: Global): Promise<number> {
  expectToJoin(); // while all is planned
  const { args, id, store } = containerArguments(help, argv, global);
  const onWarning = (warning: string): void => warn(warning, global);
  const steps = global.debug && (await import("../debug.ts")).stepsOf(global);
  await createFrom(id, args, { ...store, ...managerOf(global), ...steps, onWarning });
  return 0;
}

export const command: Command = { help, run };
