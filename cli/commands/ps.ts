import { containerProcesses, UsageError } from "../../mod.ts";
import { type CommandHelp, readArguments } from "../args.ts";
import type { Command, Global } from "../main.ts";
import { print } from "../print.ts";

const help: CommandHelp = {
  name: "ps",
  summary: "Shows the processes of a container, as ps(1) shows those of the host.",
  usage: ["[FLAGS] ID [PS-OPTION…]"],
  flags: [{ name: "format", short: "f", value: "FORMAT", help: "table, or json: only the numbers" }],
  examples: ["runtime ps box1", "runtime ps box1 -o pid,rss,args", "runtime ps --format json box1"],
};

async function run(argv: readonly string[], { root }: Global): Promise<number> {
  // What stands behind the name is for ps.
  const args = readArguments(help, argv, { stopEarly: true });
  const [id, ...options] = args.words;
  if (id === undefined) {
    throw new UsageError(`"ps" requires a minimum of 1 argument; see "runtime ps --help"`);
  }
  const pids = containerProcesses(id, root === undefined ? {} : { root });
  const format = args.value("format") ?? "table";
  if (format === "json") await print(JSON.stringify(pids.length > 0 ? pids : null) + "\n");
  else if (format === "table") await print(await table(pids, options.length > 0 ? options : ["-ef"]));
  else throw new UsageError("invalid format option");
  return 0;
}

/** The lines of ps(1) about these processes. */
async function table(pids: readonly number[], options: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("ps", { args: [...options] }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`Cannot run ps ${options.join(" ")}: ${decoder.decode(stderr).trim()}`);
  const [title = "", ...lines] = decoder.decode(stdout).trimEnd().split("\n");
  const column = title.trim().split(/\s+/).indexOf("PID");
  if (column < 0) throw new UsageError("couldn't find PID field in ps output");
  const ours = lines.filter((line) => pids.includes(Number(line.trim().split(/\s+/)[column])));
  return [title, ...ours].map((line) => `${line}\n`).join("");
}

export const command: Command = { help, run };
