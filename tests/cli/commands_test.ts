import { deepEqual, equal, match, ok } from "node:assert/strict";
import { loadBundle, type Result } from "../../mod.ts";
import { leavesNothing } from "../helpers/census.ts";
import { cannotRunRunc } from "../helpers/cgroups.ts";
import { cli, ROOT, Temporary } from "../helpers/cli.ts";
import { TestBundle } from "../helpers/launch_bundle.ts";
import { skip } from "../helpers/skip.ts";

const COMMANDS = ["compile", "plan", "run", "spec"];

Deno.test("--version says which, in runc's form", async () => {
  for (const flag of ["--version", "-v"]) {
    match(
      (await cli([flag])).stdout,
      /^ai-sandbox version \d+\.\d+\.\d+\S*, in place of runc version \d+\.\d+\.\d+\ncommit: \S+\nspec: 1\.\d+\.\d+\ndeno: \S+\n/,
    );
  }
});

Deno.test("--help names every command, and each has help of its own", async () => {
  const { stdout, code } = await cli(["--help"]);
  equal(code, 0);
  for (const name of COMMANDS) {
    match(stdout, new RegExp(`^  ${name} +\\w`, "m"));
    for (const args of [[name, "--help"], [name, "-h"]]) {
      const said = await cli(args);
      deepEqual([said.code, said.stderr], [0, ""]);
      match(
        said.stdout,
        new RegExp(
          `^NAME:\n   runtime ${name}(, as runc ${name})?\n\n[A-Z].*\\.\n\nUsage:\n  runtime ${name} .*\n[^]*\nFlags:\n[^]*--help`,
        ),
      );
      ok(said.stdout.split("\n").every((line) => line.length <= 110), `a line of ${name}'s help is too long`);
    }
  }
});

Deno.test("help lists its flags and takes each of them", async () => {
  const { stdout } = await cli(["run", "--help"]);
  for (
    const flag of [
      "bundle",
      "id",
      "timeout",
      "mount",
      "env",
      "workdir",
      "overlay",
      "terminal",
      "result",
      "pid-file",
    ]
  ) {
    match(stdout, new RegExp(`--${flag}\\b`));
  }
});

Deno.test("no command at all prints the usage as an error", async () => {
  const { code, stdout, stderr } = await cli([]);
  deepEqual([code, stdout], [1, ""]);
  match(stderr, /Usage:/);
});

for (const rootless of [false, true]) {
  const flags = rootless ? ["--rootless"] : [];
  Deno.test(`spec ${flags.join("")} writes a config.json that we and runc can run`, async (t) => {
    using here = new Temporary();
    using bundle = new TestBundle(); // for its rootfs
    deepEqual(await cli(["spec", ...flags], { cwd: here.path }).then(({ code, stderr }) => [code, stderr]), [
      0,
      "",
    ]);
    const { spec } = loadBundle(here.path);
    deepEqual(spec.process?.args, ["sh"]);
    equal(spec.linux?.namespaces?.some(({ type }) => type === "user") ?? false, rootless);
    Deno.renameSync(bundle.rootfs, `${here.path}/rootfs`);
    Deno.mkdirSync(bundle.rootfs);
    const changed = { ...spec, process: { ...spec.process!, terminal: false } };
    Deno.writeTextFileSync(`${here.path}/config.json`, JSON.stringify(changed));
    const script = "echo $$ $(id -u) $(hostname); touch /x 2>/dev/null || echo read-only";
    const ours = await cli(["run", "--bundle", here.path, "spec-ours"], { stdin: script });
    deepEqual([ours.stderr, ours.stdout], ["", "1 0 sandbox\nread-only\n"]);
    const reason = cannotRunRunc();
    if (reason) return skip(reason, t);
    const id = `spec-${crypto.randomUUID().slice(0, 8)}`;
    const theirs = await cli(["run", "--bundle", here.path, id], { program: ["runc"], stdin: script });
    deepEqual([theirs.stderr, theirs.stdout], ["", ours.stdout]);
  });
}

Deno.test("spec --bundle writes there, and never over a file", async () => {
  using here = new Temporary();
  equal((await cli(["spec", "--bundle", here.path])).code, 0);
  const before = Deno.readTextFileSync(`${here.path}/config.json`);
  const again = await cli(["spec", "--bundle", here.path]);
  equal(again.code, 1);
  match(again.stderr, /^runtime: Cannot write ".*config\.json": .*Remove it first\n$/);
  equal(Deno.readTextFileSync(`${here.path}/config.json`), before);
});

Deno.test("plan prints a numbered line for each system call, and runs nothing", async () => {
  using bundle = new TestBundle();
  bundle.write("echo ran > /mark");
  const { stdout } = await leavesNothing(
    [bundle.path],
    () => cli(["plan", "--overlay", "none", bundle.path]),
  );
  const lines = stdout.trimEnd().split("\n");
  ok(lines.length > 50);
  const steps = lines.filter((line) => /^ *\d+ (launcher|init|end)\b/.test(line));
  deepEqual(steps.map((line) => Number(/\d+/.exec(line)?.[0])), steps.map((_, index) => index + 1));
  match(stdout, /clone3\(/);
  match(stdout, /execve\(.*"echo ran > \/mark".*# run "\/bin\/sh"/);
});

Deno.test("plan --format json holds the same steps as the text", async () => {
  const text = (await cli(["plan", "bundles/hello"])).stdout;
  const { imageBytes, steps } = JSON.parse((await cli(["plan", "--format", "json", "bundles/hello"])).stdout);
  ok(imageBytes > 4096);
  equal(steps.length, text.split("\n").filter((line) => /^ *\d+ (launcher|init|end)\b/.test(line)).length);
  for (const { by, call, does } of steps) {
    ok([by, call, does].every((word) => typeof word === "string" && word !== ""));
  }
});

Deno.test("plan of two bundles shows how they differ", async () => {
  const { stdout } = await cli(["plan", "bundles/hello", "bundles/python"]);
  match(stdout, /^- .*hello/m);
  match(stdout, /^\+ .*python/m);
  ok(!/^ /m.test(stdout), "what both do is left out");
  equal((await cli(["plan", "bundles/hello", "bundles/hello"])).stdout, "");
  const json = (await cli(["plan", "--format=json", "bundles/hello", "bundles/python"])).stdout;
  equal(JSON.parse(json).differences.length, stdout.trimEnd().split("\n").length);
});

Deno.test("plan -- shows what a program's sandbox is made of", async () => {
  const { stdout, code } = await cli(["plan", "--", "python3", "-c", "print(1)"]);
  equal(code, 0);
  match(stdout, /execve\(.*"python3", "-c", "print\(1\)"/);
});

Deno.test("--log-format json writes a line with level, msg and time for an error", async () => {
  using here = new Temporary();
  const log = `${here.path}/log.json`;
  for (
    const args of [["--log", log, "--log-format", "json"], [`--log=${log}`, "--log-format=json"], [
      "-log",
      log,
      "-log-format",
      "json",
    ]]
  ) {
    const said = await cli([...args, "run", "--bundle", "/none", "box"]);
    equal(said.code, 1);
    const lines = Deno.readTextFileSync(log).trimEnd().split("\n").map((line) => JSON.parse(line));
    const { level, msg, time, ...more } = lines.at(-1);
    deepEqual([level, more, `runtime: ${msg}\n`], ["error", {}, said.stderr]);
    ok(Math.abs(Date.parse(time) - Date.now()) < 60_000);
  }
  equal(Deno.readTextFileSync(log).trimEnd().split("\n").length, 3);
});

Deno.test("--log alone writes text, and nothing when all is well", async () => {
  using here = new Temporary();
  const log = `${here.path}/log`;
  await cli(["--log", log, "run", "bundles/hello"]);
  equal(await Deno.readTextFile(log).catch(() => ""), "");
  await cli(["--log", log, "run", "--", "/none"]);
  match(Deno.readTextFileSync(log), /^time="[^"]+" level=error msg="Cannot run \\"\/none\\".*"\n$/);
});

Deno.test("run --result writes every field of the record", async () => {
  using here = new Temporary();
  const file = `${here.path}/result.json`;
  const began = Date.now();
  const args = ["run", "--result", file, "--id", "box", "--", "sh", "-c", "sleep 0.3; exit 3"];
  equal((await leavesNothing([], () => cli(args))).code, 3);
  const result = JSON.parse(Deno.readTextFileSync(file)) as Result;
  const { wallMs, cpuUserMs, cpuSystemMs, peakMemoryBytes, startedAt, endedAt, ...rest } = result;
  deepEqual(rest, {
    id: "box",
    exit: { kind: "code", code: 3 },
    exitCode: 3,
    oomKilled: false,
    timedOut: false,
  });
  ok(wallMs >= 300 && wallMs < 20_000 && cpuUserMs + cpuSystemMs < 300, JSON.stringify(result));
  ok(peakMemoryBytes > 100_000 && peakMemoryBytes < 100_000_000, JSON.stringify(result));
  ok(Date.parse(startedAt) >= began - 1 && Date.parse(endedAt) - Date.parse(startedAt) >= 300);
  deepEqual([...Deno.readDirSync(here.path)].map(({ name }) => name), ["result.json"]);
});

Deno.test("run --result tells a signal, a timeout and a failure apart", async () => {
  using here = new Temporary();
  const file = here.file("result.json", "an older one");
  const record = (): Record<string, unknown> => JSON.parse(Deno.readTextFileSync(file));
  await cli(["run", "--result", file, "--", "python3", "-c", "import os; os.abort()"]);
  await cli(["run", "--result", file, "--", "python3", "-c", "import ctypes; ctypes.string_at(0)"]);
  deepEqual([record().exit, record().exitCode], [{ kind: "signal", signal: "SIGSEGV" }, 139]);
  await cli(["run", "--result", file, "--timeout", "200ms", "--", "sleep", "9"]);
  deepEqual([record().exit, record().exitCode, record().timedOut], [
    { kind: "limit", limit: "time" },
    124,
    true,
  ]);
  await cli(["run", "--result", file, "--id", "box", "--", "/none"]);
  const { error, ...rest } = record() as { error: Record<string, unknown> };
  deepEqual(rest, { id: "box", exitCode: 127 });
  deepEqual([error.name, error.errno], ["LaunchError", 2]);
  match(String(error.message), /^Cannot run "\/none".*no such file or directory/);
  await cli(["run", "--result", file, "--bundle", `${ROOT}/none`, "box"]);
  deepEqual([(record().error as { name: string }).name, record().exitCode], ["SpecError", 1]);
  deepEqual([...Deno.readDirSync(here.path)].map(({ name }) => name), ["result.json"]);
});
