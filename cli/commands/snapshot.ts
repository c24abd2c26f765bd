import { UsageError } from "../../mod.ts";
import { type CommandHelp, helpText, readArguments } from "../args.ts";
import type { Command, Global } from "../main.ts";
import { print } from "../print.ts";
import { PARTS, uniqueFlags } from "../snapshot/parts.ts";

const help: CommandHelp = {
  name: "snapshot",
  summary: "Keeps snapshots of containers in a store: takes, shows, compares and restores them, by names.",
  usage: Object.values(PARTS).map(({ name, usage }) => `${name.slice("snapshot ".length)} ${usage[0]}`),
  flags: uniqueFlags(),
  examples: [
    "runtime snapshot create --leave-running --tag before box1",
    "runtime snapshot ls",
    "runtime restore --detach --snapshot before box2",
    "runtime snapshot rewind box1 before",
  ],
};

async function run(argv: readonly string[], global: Global): Promise<number> {
  const [what = "ls", ...rest] = argv;
  const part = Object.hasOwn(PARTS, what) ? PARTS[what] : undefined;
  if (!part) {
    const known = Object.keys(PARTS).join(", ");
    throw new UsageError(
      `Cannot do "snapshot ${what}": it is one of ${known}; see "runtime snapshot --help"`,
    );
  }
  const args = readArguments(part, rest);
  if (args.has("help")) {
    await print(helpText(part));
    return 0;
  }
  const [least, most] = part.words;
  if (args.words.length < least || args.words.length > most || args.rest) {
    throw new UsageError(`"${part.name}" requires ${part.usage[0]}; see "runtime ${part.name} --help"`);
  }
  const { act } = await part.load();
  return await act[what]!(args, global);
}

export const command: Command = { help, run };
