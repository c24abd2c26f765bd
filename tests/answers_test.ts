/** What the executable answers without Deno: `--version` and `--help`, as a build has heard them from Deno. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { ANSWERED } from "../tools/build/answers.ts";
import { builtRuntime } from "./helpers/built.ts";
import { cli, SOURCES, Temporary } from "./helpers/cli.ts";
import { missing, MovesProgram } from "./helpers/moves_program.ts";
import { skip } from "./helpers/skip.ts";

const [VERSION, HELP] = ["the version\n", "the\nhelp\n"] as const;
/** Deno needs more, for its heap alone: it cannot begin. */
const LITTLE_MEMORY = ["prlimit", `--as=${256 << 20}`];

/** Command lines, and what of them the stub answers itself. */
const LINES: readonly (readonly [args: string, said: string])[] = [
  ["--version", VERSION],
  ["-version", VERSION],
  ["-v", VERSION],
  ["--v", VERSION],
  ["--version=x", VERSION],
  ["--version --nosuch", VERSION],
  ["-v --help", VERSION],
  ["--root /x --log=y --log-format json --systemd-cgroup -v state", VERSION],
  ["--help", HELP],
  ["-h", HELP],
  ["--help --version", HELP],
  ["--log --version -h", HELP],
  ["version", "left"],
  ["--", "left"],
  ["---version", "left"],
  ["--versio", "left"],
  ["--versions", "left"],
  ["-vv", "left"],
  ["-vh", "left"],
  ["--debug --version", "left"],
  ["--root= --version", "left"],
  ["--root --version", "left"],
  ["--log-format xml --version", "left"],
  ["--systemd-cgroup=false --version", "left"],
  ["list --version", "left"],
  ["list --help", "left"],
];

Deno.test("the stub answers --version and --help as the last of the flags that it knows", () => {
  if (missing) return skip(missing);
  using program = new MovesProgram([VERSION, HELP]);
  const left = (args: readonly string[]): RegExp => new RegExp(`^left with \\d+: ${args.join(" ")}$`);
  for (const [line, said] of LINES) {
    const args = line.split(" ");
    const answer = program.run(...args);
    if (said === "left") match(answer.said, left(args), line);
    else deepEqual(answer, { code: 0, said }, line);
  }
  using without = new MovesProgram();
  for (const flag of ["--version", "-v", "--help", "-h"]) match(without.run(flag).said, left([flag]));
});

Deno.test("the built command answers with Deno's bytes, and without Deno", async () => {
  const program = [await builtRuntime()];
  for (const flag of [...ANSWERED, "-v", "-h"]) {
    const answer = await cli([flag], { program, wrapper: LITTLE_MEMORY });
    deepEqual([answer.code, answer.stderr], [0, ""], flag);
    equal(answer.stdout, (await cli(["--debug", flag], { program })).stdout, "of the same build");
    const { stdout } = await cli([flag], { program: SOURCES });
    equal(answer.stdout.replace(/^commit: [0-9a-f]{24}$/m, "commit: checkout"), stdout, "of the sources");
  }
  const deno = await cli(["--debug", "--version"], { program, wrapper: LITTLE_MEMORY });
  ok(deno.code !== 0 || deno.signal !== null, "Deno begins with little memory: this test shows nothing");
});

/** Gives the command another stdout, by a program that goes on with it. */
const PLACES: Readonly<Record<string, string>> = {
  "is closed": "os.close(1)",
  "is full": "os.dup2(os.open('/dev/full', os.O_WRONLY), 1)",
  "can only be read": "os.dup2(os.open('/dev/null', os.O_RDONLY), 1)",
  "has no reader": "ends = os.pipe(); os.dup2(ends[1], 1); os.close(ends[0]); os.close(ends[1])",
  "takes a part":
    "os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), 1); resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))",
};

for (const [what, change] of Object.entries(PLACES)) {
  Deno.test(`where stdout ${what} the built command ends as the sources do`, async () => {
    using here = new Temporary();
    const file = `${here.path}/said`;
    const script = "import os, resource, signal, sys; file = sys.argv[1]; " +
      `signal.signal(signal.SIGPIPE, signal.SIG_DFL); signal.signal(signal.SIGXFSZ, signal.SIG_DFL); ` +
      `${change}; os.execv(sys.argv[2], sys.argv[2:])`;
    for (const flag of ANSWERED) {
      const ends = [];
      const built = [await builtRuntime()];
      // With the sources Deno may write caches of its own, which the limit ends; --debug leaves the answer to the built one's.
      const like = what === "takes a part"
        ? { program: built, flags: ["--debug", flag] }
        : { program: SOURCES, flags: [flag] };
      for (const { program, flags } of [like, { program: built, flags: [flag] }]) {
        Deno.writeTextFileSync(file, "");
        const { code, signal, stderr } = await cli(flags, {
          program,
          wrapper: ["python3", "-c", script, file],
        });
        ends.push({ code, signal, stderr, file: Deno.readTextFileSync(file).slice(0, 40) });
      }
      deepEqual(ends[1], ends[0], flag);
      if (what === "is full") match(ends[1]!.stderr, /No space left/);
    }
  });
}
