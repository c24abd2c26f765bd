/**
 * Makes and ends sandboxes in great numbers and looks for what they leave behind: `deno task soak`.
 */
import { parseArgs } from "@std/cli/parse-args";
import { soak } from "./soak.ts";

const HELP =
  `Usage: deno task soak [--cycles N] [--workers N] [--rounds N] [--supervisors N] [--quick] [--seed N]

Makes, runs and deletes sandboxes of all kinds, a tenth of them interrupted at a random moment, and then looks
for processes, mounts, cgroups, namespaces, files, descriptors, ranges of user ids and memory that are left.

Options:
  --cycles N       sandboxes one after the other (default 10000)
  --workers N      sandboxes at the same time (default 64)
  --rounds N       how often each of these (default 1000)
  --supervisors N  processes with sandboxes that are killed (default 200)
  --quick          a twentieth of all that
  --seed N         what chance makes of it (default: another one each time)
`;

const DEFAULTS = { cycles: 10_000, workers: 64, rounds: 1_000, supervisors: 200 };
const WAIT_MS = 60_000;

async function main(): Promise<void> {
  const args = parseArgs(Deno.args, {
    string: ["cycles", "workers", "rounds", "supervisors", "seed"],
    boolean: ["quick", "help"],
    unknown: (name: string) => {
      throw new Error(`unknown option "${name}"; see --help`);
    },
  });
  if (args.help) return console.log(HELP.trimEnd());
  const number = (name: keyof typeof DEFAULTS | "seed", usual: number): number => {
    const value = args[name] === undefined ? usual : Number(args[name]);
    if (Number.isInteger(value) && value >= 0) return value;
    throw new Error(`--${name} takes a number, not "${args[name]}"`);
  };
  const part = (name: "cycles" | "rounds" | "supervisors"): number =>
    number(name, args.quick ? DEFAULTS[name] / 20 : DEFAULTS[name]);
  if (Deno.uid() !== 0) throw new Error("needs root");
  const seed = number("seed", crypto.getRandomValues(new Uint32Array(1))[0]!);
  console.log(`seed ${seed}`);
  const { figures, problems } = await soak({
    cycles: part("cycles"),
    workers: number("workers", DEFAULTS.workers),
    rounds: part("rounds"),
    supervisors: part("supervisors"),
    seed,
    waitMs: WAIT_MS,
    progress: (line) => console.log(line),
  });
  for (const line of figures) console.log(line);
  for (const line of problems) console.log(`PROBLEM ${line}`);
  console.log(problems.length === 0 ? "nothing is left" : `${problems.length} problems`);
  if (problems.length > 0) Deno.exitCode = 1;
}

await main().catch((error) => {
  console.error(`soak: ${error.message}`);
  Deno.exitCode = 1;
});
