import { deepEqual, equal, ok } from "node:assert/strict";
import { hasCompiler } from "../helpers/c_program.ts";
import { cli, type Said, Temporary } from "../helpers/cli.ts";
import { BOX } from "../helpers/containers.ts";
import { execsTest } from "../helpers/execs.ts";
import { skip } from "../helpers/skip.ts";
import { buildInjector, injected, nameOf, type Point, pointsAt, readLog } from "./injector.ts";

/** How many points are tried of the command's own calls, and of its children's. */
const SAMPLE = 40;
const LIMIT_S = 20;

execsTest("no fault in a program without Deno runs it twice, or half", async (execs) => {
  if (!hasCompiler) return skip("needs gcc");
  using directory = new Temporary();
  const injector = buildInjector(directory.path);
  const log = `${directory.path}/log`;
  const { program, root } = execs.containers;
  const run = async (point?: Point): Promise<Said> => {
    const wrapper = injected(injector, { from: root, log, limitS: LIMIT_S, point });
    return await cli(["--root", root, "exec", BOX, "sh", "-c", "echo once; exit 6"], { program, wrapper });
  };
  await execs.begin();
  await execs.first();
  equal((await run()).code, 6);
  const { calls } = readLog(log);
  const sampled = (points: readonly Point[]): Point[] => {
    const step = Math.max(1, points.length / SAMPLE);
    return Array.from({ length: SAMPLE }, (_, index) => points[Math.floor(index * step)])
      .filter((each) => each !== undefined);
  };
  const points = [
    ...sampled(pointsAt(calls.filter(({ process }) => process === 0))),
    ...sampled(pointsAt(calls.filter(({ process }) => process > 0))),
  ];
  const wrong: string[] = [];
  let hit = 0;
  for (const point of points) {
    const { code, stdout, stderr } = await run(point);
    const found = readLog(log);
    if (found.hit) hit++;
    const isWhole = code === 6 && stdout === "once\n";
    const isFailure = code !== 6 && code !== 0 && ["", "once\n"].includes(stdout);
    if (isWhole || isFailure) continue;
    wrong.push(`${nameOf(point)} ${found.hit?.name} ${found.hit?.detail}: ${code}, ${stdout}; ${stderr}`);
  }
  console.log(`${hit} of ${points.length} points, ${calls.length} calls`);
  deepEqual(wrong, []);
  ok(hit > points.length / 2, `only ${hit} were hit`);
});
