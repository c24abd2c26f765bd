import { starterSpec, UsageError } from "../../mod.ts";
import { type CommandHelp, readArguments } from "../args.ts";
import type { Command } from "../main.ts";

const help: CommandHelp = {
  name: "spec",
  summary: "Writes a config.json to begin a bundle with.",
  usage: ["[--bundle DIR] [--rootless]"],
  flags: [
    { name: "bundle", short: "b", value: "DIR", help: "where to write it (default: the current directory)" },
    { name: "rootless", help: "for a user without root's rights" },
  ],
  examples: ["mkdir -p box/rootfs && runtime spec --bundle box"],
};

async function run(argv: readonly string[]): Promise<number> {
  const args = readArguments(help, argv);
  if (args.words.length > 0) {
    throw new UsageError(`Cannot use "${args.words[0]}": spec takes no words, see --bundle`);
  }
  const file = `${args.value("bundle") ?? "."}/config.json`;
  const { uid, gid } = await Deno.stat("/proc/self");
  const cgroups = await Deno.stat("/sys/fs/cgroup/cgroup.controllers").then(
    () => "v2" as const,
    () => "v1" as const,
  );
  const spec = starterSpec({ rootless: args.has("rootless"), uid: uid ?? 0, gid: gid ?? 0, cgroups });
  try {
    await Deno.writeTextFile(file, JSON.stringify(spec, null, "\t") + "\n", { createNew: true, mode: 0o666 });
  } catch (cause) {
    if (cause instanceof Deno.errors.AlreadyExists) {
      throw new Error(`Cannot write "${file}": File ${file} exists. Remove it first`, { cause });
    }
    throw new Error(`Cannot write "${file}": ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
  return 0;
}

export const command: Command = { help, run };
