import { deepEqual, ok } from "node:assert/strict";
import { hasCompiler } from "../helpers/c_program.ts";
import { cli, Temporary } from "../helpers/cli.ts";
import { rerunTest } from "../helpers/reruns.ts";
import { skip } from "../helpers/skip.ts";
import { buildInjector, injected, nameOf, type Point, pointsAt, readLog } from "./injector.ts";

/** How many points are tried, spread over all. */
const SAMPLE = 150;
const LIMIT_S = 90;

rerunTest(
  "no fault in a run without Deno runs the program twice, or leaves it without an end",
  async (runs) => {
    if (!hasCompiler) return skip("needs gcc");
    using directory = new Temporary();
    const injector = buildInjector(directory.path);
    const log = `${directory.path}/log`;
    const { bundle, program } = runs;
    await runs.first("echo once; exit 6");
    const run = async (point?: Point): Promise<{ code: number; stdout: string; stderr: string }> => {
      const wrapper = injected(injector, { from: bundle.path, log, limitS: LIMIT_S, point });
      return await cli(["run", bundle.path], { program, wrapper });
    };
    await run();
    const { calls } = readLog(log);
    // The first descriptors are those of the stub, which is process 0: it calls little, and each is tried.
    const own = pointsAt(calls.filter(({ process }) => process === 0));
    const others = pointsAt(calls.filter(({ process }) => process > 0));
    const step = Math.max(1, others.length / SAMPLE);
    const points = [
      ...own,
      ...Array.from({ length: SAMPLE }, (_, index) => others[Math.floor(index * step)]!),
    ];
    const wrong: string[] = [];
    let hit = 0;
    for (const point of points.filter((each) => each !== undefined)) {
      const { code, stdout, stderr } = await run(point);
      const found = readLog(log);
      if (found.hit) hit++;
      const times = stdout.split("\n").filter((line) => line === "once").length;
      const isWhole = code === 6 && times === 1;
      const isFailure = code !== 6 && code !== 0 && times <= 1;
      if (!isWhole && !isFailure) {
        wrong.push(
          `${nameOf(point)} ${found.hit?.name} ${found.hit?.detail}: ${code}, ${times} times; ${stderr}`,
        );
      }
    }
    console.log(`${hit} of ${points.length} points, ${own.length} of the command itself`);
    deepEqual(wrong, []);
    ok(hit > points.length / 2, `only ${hit} were hit`);
  },
);
