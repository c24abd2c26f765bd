import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { LaunchError, LifecycleError, Sandbox, type SandboxExecOptions, UsageError } from "../mod.ts";
import { sandboxTest } from "./helpers/sandboxes.ts";

const SLEEP = { command: ["sleep", "60"] } as const;

async function output(
  sandbox: Sandbox,
  script: string,
  options: SandboxExecOptions = {},
): Promise<string> {
  await using program = await sandbox.exec(["sh", "-c", script], options);
  const [stdout, stderr] = await Promise.all([
    new Response(program.stdout).text(),
    new Response(program.stderr).text(),
  ]);
  const { exitCode } = await program.wait();
  if (exitCode !== 0 || stderr !== "") throw new Error(`It ended with ${exitCode}: ${stderr}`);
  return stdout;
}

/** What `reader` brings until `pattern` matches it, or until its end. */
async function readUntil(reader: ReadableStreamDefaultReader<string>, pattern: RegExp): Promise<string> {
  let text = "";
  while (!pattern.test(text)) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
  }
  return text;
}

sandboxTest("Sandbox.exec runs programs under all that holds for the first", async () => {
  for (const policy of ["default", "strict"] as const) {
    await using sandbox = await Sandbox.run({ ...SLEEP, policy });
    const shown =
      "cat /proc/self/uid_map; grep -E 'Cap|NoNew|Seccomp|Uid|Groups' /proc/self/status; ulimit -a; pwd";
    const links = "for ns in /proc/self/ns/*; do readlink $ns; done";
    const own = await output(sandbox, `${shown}; ${links}`);
    const first = Deno.readTextFileSync(`/proc/${sandbox.pid}/status`);
    for (const field of ["CapBnd", "CapEff", "NoNewPrivs", "Seccomp", "Seccomp_filters"]) {
      const line = new RegExp(`^${field}:.*$`, "m");
      deepEqual(line.exec(own)?.[0], line.exec(first)?.[0]);
    }
    for (const name of ["user", "pid", "mnt", "net", "ipc", "uts"]) {
      match(own, new RegExp(`^${name}:.*$`, "m"));
      equal(own.includes(Deno.readLinkSync(`/proc/${sandbox.pid}/ns/${name}`)), true, name);
    }
    match(own, /^ +0 +\d{9,} +65536$/m);
  }
});

sandboxTest("Sandbox.exec takes streams, a terminal, another user and directory", async () => {
  await using sandbox = await Sandbox.run(SLEEP);
  equal(
    await output(sandbox, "id -u; id -g; pwd; echo $A", {
      user: { uid: 5, gid: 6 },
      cwd: "/tmp",
      env: ["A=b"],
    }),
    "5\n6\n/tmp\nb\n",
  );
  await using cat = await sandbox.exec(["cat"], { stdin: "piped" });
  const writer = cat.stdin!.getWriter();
  await writer.write(new TextEncoder().encode("through"));
  await writer.close();
  equal(await new Response(cat.stdout).text(), "through");
  const options = { terminal: true, consoleSize: { height: 20, width: 30 } };
  await using shell = await sandbox.exec(
    ["sh", "-c", "tty; stty size; read line; echo got $line; exit 4"],
    options,
  );
  const screen = shell.terminal!.readable.pipeThrough(new TextDecoderStream()).getReader();
  const asks = /^\/dev\/pts\/0\r\n20 30\r\n$/;
  match(await readUntil(screen, asks), asks);
  const keys = shell.terminal!.writable.getWriter();
  await keys.write(new TextEncoder().encode("typed\n"));
  // The terminal echoes what is typed, and the program answers.
  match(await readUntil(screen, /got typed\r\n$/), /^typed\r\ngot typed\r\n$/);
  equal((await shell.wait()).exitCode, 4);
  await using sleeper = await sandbox.exec(["sleep", "61"]);
  equal(sleeper.kill("TERM"), true);
  deepEqual((await sleeper.wait()).exit, { kind: "signal", signal: "SIGTERM" });
});

sandboxTest(
  "Sandbox.exec begins nothing that its policy forbids, and a call that ends the sandbox ends it",
  async () => {
    await using sandbox = await Sandbox.run({ ...SLEEP, policy: "strict" });
    await rejects(sandbox.exec(["true"], { capabilities: ["CAP_NET_ADMIN"] }), UsageError);
    await rejects(sandbox.exec(["true"], { cwd: "/proc/self/fd/5" }), LaunchError);
    await rejects(sandbox.exec(["nosuch"]), LaunchError);
    await using program = await sandbox.exec(["unshare", "--user", "true"]);
    equal((await sandbox.wait()).forbiddenCall?.syscall, "unshare");
    deepEqual((await program.wait()).exit, { kind: "signal", signal: "SIGKILL" });
    await rejects(sandbox.exec(["true"]), LifecycleError);
  },
);

sandboxTest("Sandbox.exec joins the cgroup of its sandbox, and ends with it", async () => {
  const sandbox = await Sandbox.run({ ...SLEEP, memoryBytes: 64 << 20 });
  await using program = await sandbox.exec(["sleep", "62"]);
  const group = (pid: number): string => Deno.readTextFileSync(`/proc/${pid}/cgroup`);
  equal(group(program.pid), group(sandbox.pid));
  const big = await sandbox.exec(["python3", "-c", "x = bytearray(200 << 20)"]);
  equal((await big.wait()).exitCode, 137);
  await sandbox[Symbol.asyncDispose]();
  deepEqual((await program.wait()).exit, { kind: "signal", signal: "SIGKILL" });
});
