import { deepEqual, equal, match, ok } from "node:assert/strict";
import { leavesNothing } from "../helpers/census.ts";
import {
  AS_STRANGER,
  bundled,
  cli,
  finish,
  helloBundle,
  ROOT,
  start,
  STRANGER,
  Temporary,
  until,
} from "../helpers/cli.ts";
import { TestBundle } from "../helpers/launch_bundle.ts";

const HELLO = "Hello from inside a sandbox: I am process 1 on host hello.\n";

/** Compiles a bundle to an executable that everybody may run. */
async function box(bundle: string, here: Temporary, flags: readonly string[] = []): Promise<string> {
  const file = `${here.path}/box`;
  const said = await cli(["compile", "-o", file, ...flags, bundle]);
  deepEqual([said.code, said.stderr], [0, ""]);
  Deno.chmodSync(file, 0o755);
  return file;
}

Deno.test("compile -o writes an executable for its owner only", async () => {
  using here = new Temporary();
  const said = await cli(["compile", "-o", "box", `${ROOT}/bundles/hello`], { cwd: here.path });
  match(said.stdout, /^box: \d+ bytes\n$/);
  const { mode, size } = Deno.statSync(`${here.path}/box`);
  equal(mode! & 0o777, 0o700);
  ok(size < 1_000_000);
  deepEqual([...Deno.readDirSync(here.path)].map(({ name }) => name), ["box"]);
});

for (const [who, wrapper] of [["root", []], ["an ordinary user", AS_STRANGER]] as const) {
  Deno.test(`compile makes an executable that ${who} can run without Deno`, async () => {
    using here = new Temporary();
    const program = [await box(await helloBundle(here), here)];
    const said = await leavesNothing(
      [here.path],
      () => cli([], { program, wrapper, env: { PATH: "/usr/bin" } }),
    );
    deepEqual([said.code, said.stdout, said.stderr], [0, HELLO, ""]);
  });

  Deno.test(`compile keeps exit codes, signals and streams for ${who}`, async () => {
    using here = new Temporary();
    using bundle = new TestBundle();
    for (
      const [script, code] of [["cat; exit 7", 7], ["cat; exec nosuch", 127], [
        "cat; kill -9 $$; exit 3",
        3,
      ]] as const
    ) {
      bundle.write(script);
      const said = await cli([], { program: [await box(bundle.path, here)], wrapper, stdin: "through" });
      deepEqual([said.code, said.stdout], [code, "through"], `${script}: ${said.stderr}`);
    }
  });

  Deno.test(`compile says which step failed for ${who}`, async () => {
    using here = new Temporary();
    using bundle = new TestBundle();
    bundle.write(["/bin/none"]);
    const said = await cli([], { program: [await box(bundle.path, here)], wrapper });
    equal(said.code, 127);
    match(said.stderr, /^[^\n]*run "\/bin\/none"[^\n]*\n$/);
  });

  Deno.test(`compile makes a sandbox that dies with its launcher for ${who}`, async () => {
    using here = new Temporary();
    using bundle = new TestBundle();
    bundle.write("trap '' TERM INT HUP; echo ready; sleep 60; sleep 60");
    const program = [await box(bundle.path, here)];
    await leavesNothing([], async () => {
      const child = start([], { program, wrapper });
      await until(child.stdout, "ready\n");
      child.kill("SIGKILL");
      await finish(child);
    });
  });
}

Deno.test("run works for an ordinary user", async () => {
  using here = new Temporary();
  using bundle = new TestBundle();
  const options = { program: await bundled(here), wrapper: AS_STRANGER, cwd: "/" };
  const hello = await cli(["run", await helloBundle(here)], options);
  deepEqual([hello.code, hello.stdout, hello.stderr], [0, HELLO, ""]);
  const program = await cli(
    ["run", "--", "python3", "-c", "import os; print(os.getuid(), os.getpid())"],
    options,
  );
  deepEqual([program.stdout, program.stderr], [`${STRANGER} 1\n`, ""]);
  bundle.write("id -u; touch /made && echo made");
  const own = await leavesNothing([bundle.path], () => cli(["run", bundle.path], options));
  deepEqual([own.stdout, own.stderr], ["0\nmade\n", ""]);
  const killed = await leavesNothing([], async () => {
    const child = start(["run", "--", "sh", "-c", "trap '' TERM; echo ready; sleep 60; sleep 60"], options);
    await until(child.stdout, "ready\n");
    child.kill("SIGKILL");
    return await finish(child);
  });
  equal(killed.code, 137);
  const timeout = await cli(["run", "--timeout", "300ms", "--", "sleep", "60"], options);
  equal(timeout.code, 124);
  const terminal = await cli(["run", "-t", "--", "tty"], options);
  match(terminal.stdout, /^\/dev\/(console|pts\/0)\n$/);
});

Deno.test("run for an ordinary user names what only root may do", async () => {
  using here = new Temporary();
  using closed = new TestBundle();
  closed.write("true");
  Deno.chmodSync(closed.path, 0o700);
  const options = { program: await bundled(here), wrapper: AS_STRANGER, cwd: "/" };
  const said = await cli(["run", closed.path], options);
  equal(said.code, 1);
  match(said.stderr, /^runtime: Cannot use ".*config\.json": .*permission denied.*\n$/);
  const mount = await cli(["run", "--mount", "/root:/m", "--", "ls", "/m"], options);
  ok(mount.code !== 0);
});
