import { diagnose, type DoctorRow, UsageError } from "../../mod.ts";
import { type CommandHelp, readArguments } from "../args.ts";
import type { Command } from "../main.ts";
import { print } from "../print.ts";

const help: CommandHelp = {
  name: "doctor",
  summary: "Says what this host lacks, what that costs and what mends it; 0 if bundles can run, 1 if not.",
  usage: ["[--format text|json]"],
  flags: [{ name: "format", value: "FORMAT", help: "text (default) or json" }],
  examples: ["runtime doctor", "runtime doctor --format json | jq '.rows[] | select(.answer != \"ok\")'"],
};

async function run(argv: readonly string[]): Promise<number> {
  const args = readArguments(help, argv);
  if (args.words.length > 0 || args.rest) {
    throw new UsageError(`Cannot use "${argv.join(" ")}": doctor takes no arguments but --format`);
  }
  const format = args.value("format") ?? "text";
  if (format !== "text" && format !== "json") {
    throw new UsageError(`Cannot use "${format}" for --format: write text or json`);
  }
  const { able, rows } = await diagnose();
  await print(format === "json" ? JSON.stringify({ able, rows }, null, 2) + "\n" : text(able, rows));
  return able ? 0 : 1;
}

function text(able: boolean, rows: readonly DoctorRow[]): string {
  const width = Math.max(...rows.map(({ name }) => name.length));
  const indent = " ".repeat("unknown  ".length);
  const lines = rows.flatMap(({ name, answer, found, costs, remedy }) => [
    `${answer.padEnd(indent.length)}${name.padEnd(width)}  ${found}`,
    ...(costs === undefined ? [] : [`${indent}costs: ${costs}`]),
    ...(remedy === undefined ? [] : [`${indent}mend:  ${remedy}`]),
  ]);
  const lacking = rows.filter(({ essential, answer }) => essential && answer === "missing");
  const verdict = able
    ? "Bundles can run here."
    : `Bundles cannot run here; what is missing: ${lacking.map(({ name }) => name).join(", ")}.`;
  return [...lines, "", verdict, ""].join("\n");
}

export const command: Command = { help, run };
