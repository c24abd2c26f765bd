import { deepEqual, equal, match } from "node:assert/strict";
import { AS_STRANGER, bundled, cli, ROOT, SOURCES, Temporary } from "../helpers/cli.ts";
import { lacksLandlock } from "../helpers/landlock.ts";
import { withoutCalls } from "../helpers/no_namespaces.ts";

Deno.test("policy learn writes a policy that run takes", async () => {
  if (lacksLandlock(2)) return;
  using here = new Temporary();
  for (const name of ["mine.yaml", "mine.json"]) {
    const file = `${here.path}/${name}`;
    const said = await cli(["policy", "learn", "-o", file, "--", "cat", "/etc/hosts"]);
    deepEqual(
      [said.code, said.stdout],
      [0, "127.0.0.1 localhost sandbox\n::1 localhost sandbox\n"],
      said.stderr,
    );
    match(
      said.stderr,
      /^runtime: learned \d+ system calls, \d+ paths and 0 TCP ports from a run with exit code 0\nruntime: proved: .*\nruntime: wrote .*\n$/,
    );
    match(Deno.readTextFileSync(file), /learned from \\?"cat \/etc\/hosts\\?" on \d{4}-\d\d-\d\d/);
    deepEqual((await cli(["run", "--policy", file, "--", "cat", "/etc/hosts"])).stdout, said.stdout);
    match(
      (await cli(["run", "--policy", file, "--", "cat", "/etc/passwd"])).stderr,
      /passwd: Permission denied/,
    );
    match(
      (await cli(["policy", "show", file])).stdout,
      /\nfiles to read \(learned from .*\)\n {2}\/etc\/hosts /,
    );
  }
});

Deno.test("policy learn adds to what other runs have taught", async () => {
  if (lacksLandlock(2)) return;
  using here = new Temporary();
  const [one, both] = [`${here.path}/one.yaml`, `${here.path}/both.yaml`];
  equal((await cli(["policy", "learn", "-o", one, "--", "sh", "-c", "cat /etc/hosts"])).code, 0);
  const said = await cli(["policy", "learn", "--from", one, "-o", both, "--", "sh", "-c", "mkdir /tmp/x"]);
  match(said.stderr, /^runtime: new: .*call mkdir.*file to write \/tmp\//m);
  for (const script of ["cat /etc/hosts", "mkdir /tmp/x"]) {
    const run = await cli(["run", "--policy", both, "--", "sh", "-c", script]);
    equal(run.code, 0, run.stderr);
  }
});

Deno.test("policy learn prints the policy alone, gives both runs the input, and tells what was refused", async () => {
  const script = "import sys, ctypes\nprint(sys.stdin.read(), ctypes.CDLL(None).ptrace(0, 0, 0, 0))";
  const said = await cli(["policy", "learn", "--", "python3", "-c", script], { stdin: "typed" });
  equal(said.code, 0, said.stderr);
  match(said.stdout, /^# What a run has needed[^]*\nname: learned\n/);
  match(said.stderr, /typed -1\n[^]*refused by default, then as now: ptrace \(1×\)\n[^]*proved/);
});

Deno.test("policy learn fails without a policy where the proof does", async () => {
  if (lacksLandlock(2)) return;
  using here = new Temporary(0o777);
  const file = `${here.path}/mine.yaml`;
  const command = ["sh", "-c", "if [ -e /m/flag ]; then echo x > /tmp/b || exit 3; else : > /m/flag; fi"];
  const flags = ["--mount", `${here.path}:/m:rw`, "-o", file];
  const said = await cli(["policy", "learn", ...flags, "--", ...command]);
  equal(said.code, 1);
  match(said.stderr, /Cannot prove policy "mine": .*file to write \/tmp\/\n$/);
  deepEqual([...Deno.readDirSync(here.path)].map(({ name }) => name), ["flag"]);
  equal((await cli(["policy", "learn", "--no-prove", ...flags, "--", ...command])).code, 0);
});

Deno.test("policy learn learns from a bundle", async () => {
  using here = new Temporary();
  const file = `${here.path}/hello.yaml`;
  const said = await cli(["policy", "learn", "-o", file, `${ROOT}/bundles/hello`]);
  equal(said.code, 0, said.stderr);
  const again = await cli(["run", "--policy", file, `${ROOT}/bundles/hello`]);
  equal(again.stdout, said.stdout, again.stderr);
});

Deno.test("a user who is not root learns policies too", async () => {
  using here = new Temporary();
  const program = await bundled(here);
  const said = await cli(["policy", "learn", "--", "cat", "/etc/hosts"], {
    wrapper: AS_STRANGER,
    program,
    cwd: here.path,
  });
  equal(said.code, 0, said.stderr);
  match(said.stdout, /\n {4}- \/etc\/hosts\n/);
});

Deno.test("without Landlock files and ports are left out by name, and policies with them refused", async () => {
  if (lacksLandlock(4)) return;
  using here = new Temporary();
  const [old, file] = [`${here.path}/old.yaml`, `${here.path}/new.yaml`];
  const command = ["python3", "-c", "import socket; socket.socket()"];
  equal((await cli(["policy", "learn", "-o", old, "--", ...command])).code, 0);
  const wrapper = withoutCalls({ landlock_create_ruleset: "ENOSYS" });
  const said = await cli(["policy", "learn", "-o", file, "--", ...command], { wrapper });
  equal(said.code, 0, said.stderr);
  match(said.stderr, /left out files: it takes version 2 of Landlock's interface, and this kernel has 0\n/);
  match(said.stderr, /left out ports: it takes version 4 of Landlock's interface, and this kernel has 0\n/);
  equal(/^(files|ports):/m.test(Deno.readTextFileSync(file)), false);
  // From sources: an image that was kept is of a kernel with Landlock.
  const refused = await cli(["run", "--policy", old, "--", ...command], { wrapper, program: SOURCES });
  deepEqual([refused.code, refused.stdout], [1, ""]);
  match(refused.stderr, /Cannot apply the files of policy "old", by Landlock: this kernel does not have it/);
  const merged = await cli(["policy", "learn", "--from", file, "-o", old, "--", ...command]);
  match(merged.stderr, /left out files: a policy that was learned before names none\n/);
});

for (
  const [what, args, error] of [
    ["nothing to run", [], /Cannot learn from nothing/],
    [
      "a base of one's own",
      ["--base", "./x.yaml", "--", "true"],
      /Cannot use ".\/x.yaml" for --base: it is one of permissive/,
    ],
    [
      "a call that there is not",
      ["--allow-refused", "ptrase", "--", "true"],
      /Cannot allow "ptrase": there is no such system call/,
    ],
    ["a base that kills", [
      "--base",
      "strict",
      "--",
      "python3",
      "-c",
      "import ctypes; ctypes.CDLL(None).ptrace(0,0,0,0)",
    ], /strict killed it for ptrace/],
    [
      "an earlier lesson that is not there",
      ["--from", "./none.yaml", "--", "true"],
      /none.yaml": \/: no such file/,
    ],
  ] as const
) {
  Deno.test(`policy learn fails for ${what}`, async () => {
    const said = await cli(["policy", "learn", ...args]);
    deepEqual([said.code, said.stdout], [1, ""]);
    match(said.stderr, error);
  });
}

Deno.test("policy learn has help of its own", async () => {
  const { stdout } = await cli(["policy", "learn", "--help"]);
  match(
    stdout,
    /^NAME:\n {3}runtime policy learn\n\nRuns a program.*\n\nUsage:\n {2}runtime policy learn \[FLAGS\] -- PROGRAM[^]*--allow-refused CALL[^]*--timeout TIME/,
  );
});
