import { deepEqual, equal, ok } from "node:assert/strict";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { hasCompiler } from "../helpers/c_program.ts";
import { cli, type Said, Temporary } from "../helpers/cli.ts";
import { BOX } from "../helpers/containers.ts";
import { type Execs, execsTest } from "../helpers/execs.ts";
import { skip } from "../helpers/skip.ts";
import { buildInjector, injected, nameOf, type Point, pointsAt, readLog } from "./injector.ts";

/** How many points are tried of the command's own calls, and of its children's. */
const SAMPLE = 40;
const SAMPLE_FLAGGED = 10;
const LIMIT_S = 90;
const WORDS = ["sh", "-c", "echo once; exit 6"];

execsTest("no fault in a program without Deno runs it twice, or half", async (execs) => {
  if (!hasCompiler) return skip("needs gcc");
  await execs.begin();
  await execs.first();
  await sweep(execs, [BOX, ...WORDS], SAMPLE);
});

execsTest(
  "no fault in a process of a file without Deno runs it twice, or half, or with half a pid",
  async (execs) => {
    if (!hasCompiler) return skip("needs gcc");
    await execs.begin();
    const { path } = execs.containers.bundle;
    const [file, pidFile] = [`${path}/process`, `${path}/pid`];
    const process = { ...starterSpec().process!, terminal: false, args: WORDS, env: ["PATH=/bin"] };
    Deno.writeTextFileSync(file, JSON.stringify(process));
    const line = ["--process", file, "--pid-file", pidFile, BOX];
    for (const _ of "12") equal((await execs.containers.run("exec", ...line)).code, 6);
    await sweep(execs, line, SAMPLE_FLAGGED, (isWhole) => {
      const names = [...Deno.readDirSync(path)].map(({ name }) => name).filter((name) => /^pid/.test(name));
      const pid = names.includes("pid") ? Deno.readTextFileSync(pidFile) : undefined;
      for (const name of names) Deno.removeSync(`${path}/${name}`);
      return pid === undefined ? !isWhole : /^[1-9]\d*$/.test(pid);
    });
  },
);

/** Runs a command line, which prints "once" and ends with 6, with a fault at each of a sample of its calls. */
async function sweep(
  execs: Execs,
  words: readonly string[],
  sample: number,
  isGood: (isWhole: boolean) => boolean = (): boolean => true,
): Promise<void> {
  using directory = new Temporary();
  const injector = buildInjector(directory.path);
  const log = `${directory.path}/log`;
  const { program, root } = execs.containers;
  const run = async (point?: Point): Promise<Said> => {
    const wrapper = injected(injector, { from: root, log, limitS: LIMIT_S, point });
    return await cli(["--root", root, "exec", ...words], { program, wrapper });
  };
  equal((await run()).code, 6);
  const { calls } = readLog(log);
  const sampled = (points: readonly Point[]): Point[] => {
    const step = Math.max(1, points.length / sample);
    return Array.from({ length: sample }, (_, index) => points[Math.floor(index * step)])
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
    if (isGood(isWhole) && (isWhole || isFailure)) continue;
    wrong.push(`${nameOf(point)} ${found.hit?.name} ${found.hit?.detail}: ${code}, ${stdout}; ${stderr}`);
  }
  console.log(`${hit} of ${points.length} points, ${calls.length} calls`);
  deepEqual(wrong, []);
  ok(hit > points.length / 2, `only ${hit} were hit`);
}
