/** Makes every call of every command fail, or kills at it, and looks for what is left: `deno task faults`. */
import { parseArgs } from "@std/cli/parse-args";
import { resolve } from "@std/path";
import { ROOT } from "../helpers/cli.ts";
import { describe } from "./outcomes.ts";
import { sweepInParts } from "./parts.ts";
import { SCENARIOS } from "./scenarios.ts";

const HELP = `Usage: deno task faults [--runtime PROGRAM] [--only NAME,…] [--sample N] [--seed N] [--parts N]
                        [--point P:N/FAULT]

Runs each command of a container's life again and again. Each time one of the system calls of the command, or of a
process that it has started, fails (ENOSPC, ENOMEM, EPERM, EMFILE), or the command or that process is killed just
before it. Then "delete --force" must succeed and leave nothing, and what a command said must be true.

Options:
  --runtime PROGRAM  what is tried (default bin/runtime, which is built first)
  --only NAME,…      only these of: ${SCENARIOS.map(({ name }) => name).join(", ")}
  --sample N         only so many points, chosen by --seed (default all)
  --seed N           (default 1)
  --parts N          processes at the same time (default the number of CPUs)
  --point P:N/FAULT  only call N of process P, such as 2:14/ENOMEM
`;

/** What came of the points of a scenario. */
interface Tally {
  points: number;
  bad: number;
}

async function main(): Promise<void> {
  const args = parseArgs(Deno.args, {
    string: ["runtime", "only", "sample", "seed", "parts", "point"],
    boolean: ["help"],
    unknown: (name: string) => {
      throw new Error(`unknown option "${name}"; see --help`);
    },
  });
  if (args.help) return console.log(HELP.trimEnd());
  if (Deno.uid() !== 0) throw new Error("needs root");
  const number = (name: "sample" | "seed" | "parts"): number | undefined => {
    const value = args[name] === undefined ? undefined : Number(args[name]);
    if (value === undefined || Number.isInteger(value) && value >= 0) return value;
    throw new Error(`--${name} takes a number, not "${args[name]}"`);
  };
  const named = args.runtime?.includes("/") ? resolve(args.runtime) : args.runtime;
  const program = [named ?? await build()];
  const tallies = new Map<string, Tally>();
  let [done, bad] = [0, 0];
  const seed = number("seed") ?? 1;
  if (args.sample) console.log(`seed ${seed}`);
  await sweepInParts({
    program,
    seed,
    sample: number("sample"),
    parts: number("parts") ?? navigator.hardwareConcurrency,
    only: args.only?.split(",") ?? [],
    point: args.point,
    hear: (outcome) => {
      if (!outcome.hit) return; // the command did not come to it this time
      done++;
      const tally = tallies.get(outcome.scenario) ?? { points: 0, bad: 0 };
      tallies.set(outcome.scenario, tally);
      tally.points++;
      if (outcome.problems.length > 0) {
        tally.bad++;
        bad++;
        console.log(describe(outcome));
      }
      if (done % 100 === 0) console.log(`${done} points, ${bad} leaks`);
    },
  });
  console.log("\n| command | points | leaks |\n|---|---|---|");
  for (const [name, tally] of tallies) console.log(`| \`${name}\` | ${tally.points} | ${tally.bad} |`);
  console.log(`\n${bad} leaks of ${done} points`);
  if (bad > 0 || done === 0) Deno.exitCode = 1;
}

async function build(): Promise<string> {
  const args = ["run", "-A", `${ROOT}/tools/build.ts`];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).output();
  if (!success) throw new Error(`Cannot build bin/runtime: ${new TextDecoder().decode(stderr)}`);
  return `${ROOT}/bin/runtime`;
}

if (import.meta.main) {
  await main().catch((error) => {
    console.error(`faults: ${error.message}`);
    Deno.exitCode = 1;
  });
}
