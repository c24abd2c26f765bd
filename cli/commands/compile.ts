import { compile, readOverlay, UsageError } from "../../mod.ts";
import { type CommandHelp, readArguments } from "../args.ts";
import type { Command } from "../main.ts";
import { print } from "../print.ts";
import { writeWhole } from "../result_file.ts";

const help: CommandHelp = {
  name: "compile",
  summary: "Writes an executable that is the sandbox: it needs neither this program nor Deno to start.",
  usage: ["-o FILE DIR"],
  flags: [
    { name: "output", short: "o", value: "FILE", help: "the executable to write" },
    { name: "overlay", value: "KIND", help: "what lies over the rootfs: none, tmpfs or tmpfs:size=64m" },
  ],
  examples: ["runtime compile bundles/hello -o box && ./box"],
};

/** The environment of the program is in it, readable: nobody else gets to. */
const MODE = 0o700;

async function run(argv: readonly string[]): Promise<number> {
  const args = readArguments(help, argv);
  const [bundle, ...more] = args.words;
  const output = args.value("output");
  if (bundle === undefined || more.length > 0) {
    throw new UsageError(`Cannot compile: name one bundle; see "runtime compile --help"`);
  }
  if (output === undefined) throw new UsageError("Cannot compile: name the executable with -o FILE");
  const overlay = args.value("overlay");
  const elf = compile({
    bundle,
    ...(overlay !== undefined && { overlay: readOverlay(overlay, "--overlay") }),
  });
  await writeWhole("", output, elf, { mode: MODE, keepsOld: true });
  await print(`${output}: ${elf.length} bytes\n`);
  return 0;
}

export const command: Command = { help, run };
