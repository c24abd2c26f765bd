import { deepEqual, equal, match, ok } from "node:assert/strict";
import { leavesNothing } from "./census.ts";
import { cli, type CliOptions, Temporary } from "./cli.ts";
import { TestBundle } from "./launch_bundle.ts";

const MOST_MS = 20_000;
const MOST_LINE = 1_000;

/** What lies ready for a bad input: a good bundle to spoil, and a directory. */
export interface Scene {
  readonly bundle: TestBundle;
  readonly here: Temporary;
}

/** A bad input, and what must come of it. */
export interface Bad {
  readonly name: string;
  /** Spoils the scene and returns the command line. */
  readonly args: (scene: Scene) => readonly string[] | Promise<readonly string[]>;
  /** What the one line on stderr says: the thing, and the remedy or the reason. */
  readonly says: RegExp;
  readonly code?: number;
  readonly options?: CliOptions | ((scene: Scene) => CliOptions);
}

/** The command line must refuse this in one line, soon, and leave nothing. */
export function refuses({ name, args, says, code = 1, options = {} }: Bad): void {
  Deno.test(`the command line refuses ${name}`, async () => {
    using bundle = new TestBundle();
    using here = new Temporary();
    bundle.write("true");
    const scene = { bundle, here };
    const argv = await args(scene);
    const given = typeof options === "function" ? options(scene) : options;
    const env = { TMPDIR: here.path, ...given.env };
    const said = await leavesNothing([bundle.path, here.path], () => cli(argv, { ...given, env }));
    match(said.stderr, says);
    deepEqual([said.stderr.split("\n").length, said.stderr.at(-1)], [2, "\n"], `one line: ${said.stderr}`);
    ok(said.stderr.startsWith("runtime: Cannot "), said.stderr);
    ok(!said.stderr.includes("a defect"), said.stderr);
    ok(said.stderr.length < MOST_LINE + argv.join(" ").length, `${said.stderr.length} characters`);
    equal(said.stdout, "");
    equal(said.code, code, said.stderr);
    ok(said.ms < MOST_MS, `it took ${said.ms} ms`);
  });
}
