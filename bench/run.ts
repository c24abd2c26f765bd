/**
 * Measures how fast sandboxes start and what they take, against bubblewrap, crun and runc.
 *
 *     deno task bench [NAME…] [--runs N] [--format text|json] [--output FILE]
 */
import { parseArgs } from "@std/cli/parse-args";
import { fromFileUrl } from "@std/path";
import { attestation } from "./attest.ts";
import { density } from "./density.ts";
import { exec } from "./exec.ts";
import { runWithoutUnified } from "./hybrid.ts";
import { library } from "./library.ts";
import { lifecycle } from "./lifecycle.ts";
import { machine } from "./machine.ts";
import { memory } from "./memory.ts";
import { most } from "./most.ts";
import { markdown, type Section } from "./report.ts";
import { network } from "./network.ts";
import { seccomp } from "./seccomp.ts";
import { snapshot } from "./snapshot.ts";
import { start } from "./start.ts";
import { syscalls } from "./syscalls.ts";
import { missing } from "./workspace.ts";

const HELP = `Usage: deno task bench [NAME…] [--runs N] [--format text|json] [--output FILE]

Measures the benches named, or all but the last:
  start    whole processes that run /bin/true in a sandbox    (--runs turns, default 200)
  library  sandboxes of one warm Deno process                 (--runs of each kind, default 200)
  lifecycle commands of containers as whole processes         (--runs turns, default 50)
  exec     further programs in a sandbox                      (--runs of each, default 100)
  attest   looks at sandboxes before they begin               (--runs of each kind, default 200)
  snapshot checkpoints, restores and forks of a Python         (--runs of each, default 20)
  memory   sandboxes that wait at their start gate            (--runs of each, default 10)
  seccomp  filters: to compile, and what a call costs         (--runs of each, default 100)
  syscalls what policies add to a system call in a sandbox    (--runs turns, default 5)
  network  sandboxes with networks, and their traffic         (--runs of each kind, default 50)
  density  sandboxes that live at the same time               (--runs of them, default 1000)
  most     as many sandboxes as fit at the same time          (up to --runs, default 10000)

Options:
  --runs N        how often to measure
  --format FORMAT text, or json: the machine's lines and the sections with their tables, targets and notes
  --output FILE   where to write what is printed; without it, a run of all benches of the default size
                  writes bench/results.md and anything else writes nothing
  --help          print this
`;

const RESULTS = fromFileUrl(new URL("results.md", import.meta.url));

const BENCHES = {
  start: { bench: start, runs: 200 },
  library: { bench: library, runs: 200 },
  lifecycle: { bench: lifecycle, runs: 50 },
  exec: { bench: exec, runs: 100 },
  attest: { bench: attestation, runs: 200 },
  snapshot: { bench: snapshot, runs: 20 },
  memory: { bench: memory, runs: 10 },
  seccomp: { bench: seccomp, runs: 100 },
  syscalls: { bench: syscalls, runs: 5 },
  network: { bench: network, runs: 50 },
  density: { bench: density, runs: 1000 },
  most: { bench: most, runs: 10_000 },
} as const satisfies Record<string, { bench(options: { runs: number }): Promise<Section>; runs: number }>;
type Name = keyof typeof BENCHES;
/** The last takes minutes. */
const USUAL = (Object.keys(BENCHES) as Name[]).slice(0, -1);

async function main(): Promise<void> {
  const args = parseArgs(Deno.args, {
    string: ["runs", "output", "format"],
    boolean: ["help"],
    unknown: (name: string) => {
      if (name.startsWith("-")) throw new Error(`unknown option "${name}"; see --help`);
    },
  });
  if (args.help) return console.log(HELP.trimEnd());
  const reason = missing();
  if (reason !== undefined) throw new Error(reason);
  const runs = args.runs === undefined ? undefined : Number(args.runs);
  if (runs !== undefined && !(Number.isInteger(runs) && runs > 0)) {
    throw new Error(`--runs takes a number above 0, not "${args.runs}"`);
  }
  const { format = "text" } = args;
  if (format !== "text" && format !== "json") {
    throw new Error(`--format takes text or json, not "${args.format}"`);
  }
  const names = (args._ as (string | number)[]).map(String).map(known);
  const output = args.output ?? (names.length === 0 && runs === undefined ? RESULTS : undefined);

  const code = await runWithoutUnified();
  if (code !== undefined) {
    Deno.exitCode = code;
    return;
  }

  const command = ["deno task bench", ...Deno.args].join(" ");
  const lines = machine();
  const list = lines.map((line) => `- ${line}`).join("\n");
  const parts = [`# Benchmarks\n\nMade by \`${command}\` on this machine:\n\n${list}\n`];
  const sections: Section[] = [];
  const print = (text: string): void => format === "text" ? console.log(text) : undefined;
  print(parts[0]!);
  const begin = performance.now();
  for (const name of names.length > 0 ? names : USUAL) {
    const { bench, runs: usual } = BENCHES[name];
    const section = await bench({ runs: runs ?? usual });
    sections.push(section);
    parts.push(markdown(section));
    print(parts.at(-1)!);
  }
  print(`took ${((performance.now() - begin) / 1000).toFixed(0)} s`);
  const json = JSON.stringify({ machine: lines, sections }, null, 2) + "\n";
  if (format === "json") console.log(json.trimEnd());
  if (output !== undefined) await Deno.writeTextFile(output, format === "json" ? json : parts.join("\n"));
}

function known(name: string): Name {
  if (name in BENCHES) return name as Name;
  throw new Error(`no bench "${name}": take one of ${Object.keys(BENCHES).join(", ")}`);
}

await main().catch((error) => {
  console.error(`bench: ${error.message}`);
  Deno.exitCode = 1;
});
