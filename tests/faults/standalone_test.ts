import { deepEqual } from "node:assert/strict";
import { compile } from "../../mod.ts";
import { hasCompiler } from "../helpers/c_program.ts";
import { namespaces } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { skip } from "../helpers/skip.ts";
import { buildInjector, type Call, injected, nameOf, type Point, readLog } from "./injector.ts";

const LIMIT_S = 60;
/** How long those that are killed may take to end. */
const GONE_MS = 20_000;
/** The processes in the order of their birth. */
const [LAUNCHER, INIT, GUARD] = [0, 1, 2] as const;
const QUIET = { stdin: "null", stdout: "null", stderr: "null" } as const;

for (const [what, less] of [["", []], [" of the host", ["network"]]] as const) {
  launchTest(
    `a compiled sandbox in a network${what} is gone if its launcher is killed before its guard is there`,
    async (bundle) => {
      if (!hasCompiler) return skip("needs gcc");
      const word = `300.${Deno.pid}`;
      const injector = buildInjector(bundle.path);
      const log = `${bundle.path}/log`;
      const box = `${bundle.path}/box`;
      const write = (args: readonly string[]): void => {
        bundle.write(args, { linux: { namespaces: namespaces([], less) } });
        Deno.writeFileSync(box, compile({ bundle: bundle.path }), { mode: 0o700 });
      };
      const run = async (point?: Point): Promise<number> => {
        const [program, ...args] = injected(injector, { from: bundle.path, log, limitS: LIMIT_S, point });
        return (await new Deno.Command(program!, { args: [...args, box], ...QUIET }).output()).code;
      };
      write(["/bin/true"]);
      const wrong: string[] = [];
      if (await run() !== 0) wrong.push("it fails without a fault");
      const points = pointsOf(readLog(log).calls);
      write(["/bin/sleep", word]);
      for (const point of points) {
        const code = await run(point);
        const { hit } = readLog(log);
        const name = `${nameOf(point)} ${hit?.name}`;
        if (!hit || code !== 128 + 9) wrong.push(`${name} ended with ${code}`);
        const left = await untilGone([box, word]);
        if (left.length > 0) wrong.push(`${name} left ${left.join(", ")}`);
        for (const pid of left) Deno.kill(pid, "SIGKILL");
      }
      if (less.length > 0) {
        const code = await run({ process: GUARD, number: 1, fault: "kill-self" });
        if (code !== 125) wrong.push(`without its guard it ended with ${code}`);
      }
      deepEqual(wrong, []);
    },
  );
}

/** The launcher's calls up to the birth of the guard, and the first ones of init and of the guard. */
function pointsOf(calls: readonly Call[]): Point[] {
  const own = calls.filter(({ process }) => process === LAUNCHER);
  const last = own.filter(({ name }) => name === "clone3")[1]!.number;
  const fault = "kill-command";
  return [
    ...own.filter(({ number }) => number <= last).map(({ number }): Point => {
      return { process: LAUNCHER, number, fault: "kill-self" };
    }),
    ...[1, 2, 3, 4].map((number) => ({ process: INIT, number, fault } as const)),
    { process: GUARD, number: 1, fault },
  ];
}

/** The processes that are left whose command line has one of these words as an argument. */
async function untilGone(words: readonly string[]): Promise<number[]> {
  for (const end = performance.now() + GONE_MS;;) {
    const found = [...Deno.readDirSync("/proc")].filter(({ name }) => {
      try {
        return /^\d+$/.test(name) &&
          Deno.readTextFileSync(`/proc/${name}/cmdline`).split("\0").some((each) => words.includes(each));
      } catch {
        return false;
      }
    });
    if (found.length === 0 || performance.now() > end) return found.map(({ name }) => Number(name));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
