import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import { LaunchError, LifecycleError, loadBundle, Sandbox, type SandboxOptions, SpecError } from "../mod.ts";
import { ROOT, Temporary } from "./helpers/cli.ts";
import { TestBundle } from "./helpers/launch_bundle.ts";
import { failure, output, sandboxTest } from "./helpers/sandboxes.ts";

sandboxTest("Sandbox.create() builds everything and runs nothing before start()", async () => {
  using here = new Temporary();
  const mounts = [{ destination: "/m", source: here.path, type: "bind", options: ["rbind"] }];
  await using sandbox = await Sandbox.create({ command: ["touch", "/m/mark"], mounts });
  ok(sandbox.pid > 0);
  await new Promise((resolve) => setTimeout(resolve, 100));
  throws(() => Deno.statSync(`${here.path}/mark`));
  sandbox.start();
  equal((await sandbox.wait()).exitCode, 0);
  Deno.statSync(`${here.path}/mark`);
});

sandboxTest("Sandbox.run() runs a bundle by path and loaded", async () => {
  for (const bundle of [`${ROOT}/bundles/hello`, loadBundle(`${ROOT}/bundles/hello`)]) {
    await using sandbox = await Sandbox.run({ bundle, id: "mine" });
    match(await new Response(sandbox.stdout).text(), /^Hello from inside/);
    equal((await sandbox.wait()).id, "mine");
  }
});

sandboxTest("Sandbox.run() tells each time what a bundle is warned of", async () => {
  using made = new TestBundle();
  const capabilities = { bounding: ["CAP_KILL"], permitted: ["CAP_KILL"], ambient: ["CAP_KILL"] };
  made.write(["/bin/true"], { process: { capabilities } });
  const said = "can't raise ambient capability CAP_KILL: it is not inheritable";
  for (const bundle of [made.path, loadBundle(made.path)]) {
    const warnings: string[] = [];
    for (let round = 0; round < 2; round++) { // the second one by the image of the first
      await using sandbox = await Sandbox.run({
        bundle,
        onWarning: (warning) => void warnings.push(warning),
      });
      equal((await sandbox.wait()).exitCode, 0);
    }
    deepEqual(warnings, [said, said]);
  }
});

sandboxTest("start() a second time is a LifecycleError", async () => {
  await using sandbox = await Sandbox.create({ command: ["sleep", "60"], id: "twice" });
  sandbox.start();
  throws(() => sandbox.start(), LifecycleError);
  throws(() => sandbox.start(), /Cannot start sandbox "twice"/);
});

sandboxTest("start() after the end is a LifecycleError", async () => {
  const sandbox = await Sandbox.create({ command: ["true"] });
  await sandbox[Symbol.asyncDispose]();
  throws(() => sandbox.start(), LifecycleError);
});

sandboxTest("wait() can be called often, before and after the end", async () => {
  await using sandbox = await Sandbox.run({ command: ["sh", "-c", "exit 5"] });
  const [first, second] = await Promise.all([sandbox.wait(), sandbox.wait()]);
  equal(first, second);
  equal((await sandbox.wait()).exitCode, 5);
});

sandboxTest("wait() without start() is a LifecycleError when the sandbox is disposed of", async () => {
  const sandbox = await Sandbox.create({ command: ["true"] });
  const waiting = failure(sandbox.wait());
  await sandbox[Symbol.asyncDispose]();
  ok(await waiting instanceof LifecycleError);
});

sandboxTest("kill() ends the program, and is false afterwards", async () => {
  await using sandbox = await Sandbox.run({ command: ["sleep", "60"] });
  ok(sandbox.kill());
  const { exit, exitCode, oomKilled } = await sandbox.wait();
  deepEqual([exit, exitCode, oomKilled], [{ kind: "signal", signal: "SIGKILL" }, 137, false]);
  equal(sandbox.kill(), false);
  equal(sandbox.deliver("TERM"), false);
});

sandboxTest("kill() sends a signal as it is, deliver() with its usual effect on pid 1", async () => {
  await using sandbox = await Sandbox.run({ command: ["sleep", "60"] });
  ok(sandbox.kill("SIGTERM"));
  await new Promise((resolve) => setTimeout(resolve, 100));
  ok(sandbox.kill("SIGCONT"), "a sleep that is pid 1 does not notice SIGTERM");
  ok(sandbox.deliver("term"));
  deepEqual((await sandbox.wait()).exit, { kind: "signal", signal: "SIGTERM" });
});

sandboxTest("kill() and deliver() refuse what is no signal", async () => {
  await using sandbox = await Sandbox.run({ command: ["sleep", "60"] });
  for (const signal of ["SIGNONE", 0, 65, -1, 1.5, NaN, ""]) {
    throws(() => sandbox.kill(signal), TypeError);
    throws(() => sandbox.deliver(signal), TypeError);
  }
});

sandboxTest("await using ends the program when its block throws", async () => {
  let pid = 0;
  const error = await failure((async () => {
    await using sandbox = await Sandbox.run({ command: ["sleep", "60"] });
    pid = sandbox.pid;
    throw new RangeError("mine");
  })());
  equal(error.message, "mine");
  throws(() => Deno.statSync(`/proc/${pid}`));
});

sandboxTest("disposing twice is harmless", async () => {
  const sandbox = await Sandbox.run({ command: ["sleep", "60"] });
  await Promise.all([sandbox[Symbol.asyncDispose](), sandbox[Symbol.asyncDispose]()]);
  await sandbox[Symbol.asyncDispose]();
});

sandboxTest("timeoutMs ends the program, counted from its start", async () => {
  await using sandbox = await Sandbox.create({ command: ["sleep", "60"], timeoutMs: 300 });
  await new Promise((resolve) => setTimeout(resolve, 400));
  sandbox.start();
  const { exit, exitCode, timedOut, wallMs } = await sandbox.wait();
  deepEqual([exit, exitCode, timedOut], [{ kind: "limit", limit: "time" }, 124, true]);
  ok(wallMs >= 299 && wallMs < 30_000, `${wallMs} ms`);
});

sandboxTest("timeoutMs ends the program even if it comes before init is born", async () => {
  for (let turn = 0; turn < 10; turn++) {
    await using sandbox = await Sandbox.run({ command: ["sleep", "60"], timeoutMs: 0.001 });
    equal((await sandbox.wait()).timedOut, true);
  }
});

sandboxTest("timeoutMs does nothing to a program that is done", async () => {
  await using sandbox = await Sandbox.run({ command: ["true"], timeoutMs: 60_000 });
  deepEqual((await sandbox.wait()).timedOut, false);
});

sandboxTest("wait() tells the CPU time of a busy loop", async () => {
  const script = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass";
  await using sandbox = await Sandbox.run({ command: ["python3", "-c", script] });
  const { cpuUserMs, cpuSystemMs, wallMs } = await sandbox.wait();
  ok(cpuUserMs + cpuSystemMs >= 390 && cpuUserMs + cpuSystemMs < 2_000, `${cpuUserMs} + ${cpuSystemMs} ms`);
  ok(wallMs >= 390, `${wallMs} ms`);
});

sandboxTest("wait() tells the memory of a program that takes 100 MB", async () => {
  await using sandbox = await Sandbox.run({ command: ["python3", "-c", "b'x' * 100_000_000"] });
  const { peakMemoryBytes } = await sandbox.wait();
  ok(peakMemoryBytes > 100_000_000 && peakMemoryBytes < 200_000_000, `${peakMemoryBytes} bytes`);
});

sandboxTest("wait() tells when the program ran", async () => {
  const before = Date.now();
  await using sandbox = await Sandbox.run({ command: ["sleep", "0.2"] });
  const { startedAt, endedAt } = await sandbox.wait();
  const [started, ended] = [Date.parse(startedAt), Date.parse(endedAt)];
  ok(started >= before - 1 && ended - started >= 199 && ended <= Date.now() + 1, `${startedAt} ${endedAt}`);
});

sandboxTest("env, cwd, mounts and share decide what a program finds", async () => {
  using here = new Temporary();
  here.file("note", "shared");
  const command = ["sh", "-c", "pwd; echo $A $HOME; cat note; touch /out/made; touch note || echo read-only"];
  const mounts = [{ destination: "/out", source: here.path, type: "bind", options: ["rbind"] }];
  await using sandbox = await Sandbox.run({ command, share: here.path, env: ["A=b c"], mounts });
  equal(await new Response(sandbox.stdout).text(), `${here.path}\nb c /tmp\nsharedread-only\n`);
  Deno.statSync(`${here.path}/made`);
  await using other = await Sandbox.run({ command: ["pwd"], share: here.path, cwd: "/usr/lib" });
  equal(await new Response(other.stdout).text(), "/usr/lib\n");
});

sandboxTest("overlay decides whether the rootfs of a bundle keeps what is written", async () => {
  const bundle = loadBundle(`${ROOT}/bundles/hello`);
  const spec = { ...bundle.spec, process: { ...bundle.spec.process!, args: ["sh", "-c", "echo x > /made"] } };
  using here = new Temporary();
  await new Deno.Command("cp", { args: ["-a", `${bundle.path}/rootfs`, here.path] }).output();
  for (
    const [overlay, kept] of [[{ kind: "tmpfs", sizeBytes: 1 << 20 }, false], [
      { kind: "none" },
      true,
    ]] as const
  ) {
    await using sandbox = await Sandbox.run({ bundle: { path: here.path, spec }, overlay });
    equal((await sandbox.wait()).exitCode, 0);
    equal([...Deno.readDirSync(`${here.path}/rootfs`)].some(({ name }) => name === "made"), kept);
  }
});

sandboxTest("Sandbox.run() of a program that cannot be run is a LaunchError that names it", async () => {
  const error = await failure(Sandbox.run({ command: ["/none"] }));
  ok(error instanceof LaunchError);
  equal(error.errno, 2);
  match(error.message, /"\/none"/);
  const created = await Sandbox.create({ command: ["/none"] }).catch((error) => error);
  if (created instanceof Sandbox) {
    created.start();
    ok(await failure(created.wait()) instanceof LaunchError);
    await created[Symbol.asyncDispose]();
  }
});

for (
  const [name, options] of [
    ["neither bundle nor command", {}],
    ["both bundle and command", { bundle: "x", command: ["true"] }],
    ["no program", { command: [] }],
    ["a relative cwd", { command: ["true"], cwd: "relative" }],
    ["a mount without its source", {
      command: ["true"],
      mounts: [{ destination: "/m", source: "/none", type: "bind", options: ["bind"] }],
    }],
    ["a bad environment", { command: ["true"], env: ["NOVALUE"] }],
    ["NUL in an argument", { command: ["echo", "a\0b"] }],
    ["a timeout that is no time", { command: ["true"], timeoutMs: NaN }],
    ["a timeout before the start", { command: ["true"], timeoutMs: -1 }],
    ["a share that is not there", { command: ["true"], share: "/none" }],
    ["a missing bundle", { bundle: "/none" }],
  ] as const satisfies [string, SandboxOptions][]
) {
  sandboxTest(`Sandbox.run() refuses ${name}`, async () => {
    const error = await failure(Sandbox.run(options));
    ok(error instanceof TypeError || error instanceof SpecError, `${error.name}: ${error.message}`);
    match(error.message, /^Cannot /);
  });
}

sandboxTest("fifty sandboxes run at once", async () => {
  const ids = Array.from({ length: 50 }, (_, index) => index);
  const said = await Promise.all(
    ids.map((id) => output(["sh", "-c", `echo ${id}; cat /proc/sys/kernel/hostname`])),
  );
  deepEqual(said, ids.map((id) => `${id}\nsandbox\n`));
});

Deno.test("a process that has run sandboxes ends by itself", async () => {
  const code = `
    import { Sandbox } from "${ROOT}/mod.ts";
    for (const options of [{ command: ["echo", "x"] }, { command: ["sleep", "60"], timeoutMs: 100 }, { command: ["tty"], terminal: true }]) {
      await using sandbox = await Sandbox.run(options);
      await sandbox.wait();
    }
    const undisposed = await Sandbox.run({ command: ["true"], timeoutMs: 60_000 });
    await undisposed.wait();
    console.log("done");`;
  using here = new Temporary();
  const args = ["run", "--quiet", "-A", `--config=${ROOT}/deno.json`, here.file("ends.ts", code)];
  const child = new Deno.Command(Deno.execPath(), { args, stdout: "piped", stdin: "null" }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), 45_000);
  const { code: status, stdout } = await child.output();
  clearTimeout(timer);
  deepEqual([status, new TextDecoder().decode(stdout)], [0, "done\n"]);
});
