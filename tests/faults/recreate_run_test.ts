import { deepEqual, ok } from "node:assert/strict";
import { isThere } from "../../ffi/look.ts";
import { hasCompiler } from "../helpers/c_program.ts";
import { cli, Temporary } from "../helpers/cli.ts";
import { attachedTest, FIRST } from "../helpers/recreates.ts";
import { skip } from "../helpers/skip.ts";
import { buildInjector, injected, nameOf, type Point, pointsAt, readLog } from "./injector.ts";

/** How many points are tried, spread over all of the command itself, and over those of what it starts. */
const [OWN, OTHERS] = [90, 30];
const LIMIT_S = 90;

/** So many of them, evenly. */
function spread(points: readonly Point[], count: number): Point[] {
  const step = Math.max(1, points.length / count);
  return points.filter((_, index) => Math.floor(index / step) !== Math.floor((index - 1) / step));
}

attachedTest(
  "no fault in a run --bundle without Deno runs the program twice, or leaves what cannot be deleted",
  async (attached) => {
    if (!hasCompiler) return skip("needs gcc");
    using directory = new Temporary();
    const injector = buildInjector(directory.path);
    const log = `${directory.path}/log`;
    const { containers } = attached;
    const { bundle, program, root } = containers;
    attached.write("echo once; exit 6");
    const line = ["--root", root, ...attached.line(FIRST)];
    const run = async (point?: Point): Promise<{ code: number; stdout: string; stderr: string }> => {
      const wrapper = injected(injector, { from: root, log, limitS: LIMIT_S, point });
      return await cli(line, { program, wrapper, cwd: bundle.path });
    };
    await run();
    const { calls } = readLog(log);
    const own = pointsAt(calls.filter(({ process }) => process === 0));
    const others = pointsAt(calls.filter(({ process }) => process > 0));
    const points = [...spread(own, OWN), ...spread(others, OTHERS)];
    const wrong: string[] = [];
    let hit = 0;
    for (const point of points) {
      const { code, stdout, stderr } = await run(point);
      const found = readLog(log);
      if (found.hit) hit++;
      const times = stdout.split("\n").filter((said) => said === "once").length;
      const killed = found.hit !== undefined && point.fault.startsWith("kill-");
      const isWhole = code === 6 && times === 1;
      const isFailure = code !== 6 && code !== 0 && times <= 1;
      const said = `${
        nameOf(point)
      } ${found.hit?.name} ${found.hit?.detail}: ${code}, ${times} times; ${stderr}`;
      if (!isWhole && !isFailure) wrong.push(said);
      const isLeft = isThere(`${root}/${FIRST}`);
      if (isLeft && !killed) wrong.push(`${said}, and the container is left`);
      const deleted = await containers.run("delete", "--force", FIRST);
      if (deleted.code !== 0) wrong.push(`${said}; it cannot be deleted: ${deleted.stderr}`);
      // What is left of a group would be used by the next one, but is ours no more.
      if (isThere(`/sys/fs/cgroup/freezer/${FIRST}`)) wrong.push(`${said}, and a cgroup is left`);
    }
    console.log(`${hit} of ${points.length} points; ${own.length} are of the command itself`);
    deepEqual(wrong, []);
    ok(hit > points.length / 2, `only ${hit} were hit`);
  },
);
