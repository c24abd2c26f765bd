import { deepEqual, equal, match } from "node:assert/strict";
import { descriptorName } from "../../runtime/state/descriptor_name.ts";
import { nameProcess } from "../../runtime/state/liveness.ts";
import type { Record } from "../../runtime/state/record.ts";
import { FORWARDED } from "../../runtime/supervise/signals.ts";
import { compare, portrait } from "../faults/portrait.ts";
import type { Containers } from "../helpers/containers.ts";
import { replaceUnheard, startReplaced } from "../helpers/replaced.ts";
import { eventually } from "../helpers/eventually.ts";
import {
  type Attached,
  attachedTest,
  FIRST,
  light,
  recreateTest,
  SECOND,
  THIRD,
} from "../helpers/recreates.ts";

/** What is known of a container but for what differs each time, once its program has said that it runs. */
interface Made {
  readonly record: unknown;
  readonly portrait: readonly string[];
  readonly config: string;
  readonly files: readonly string[];
}

function look({ root }: Containers, id: string): Made {
  const read = (name: string): string => Deno.readTextFileSync(`${root}/${id}/${name}`);
  const { init, created, stdio, ...record } = JSON.parse(read("record.json")) as Record;
  const { pid } = init!;
  deepEqual(init, nameProcess(pid));
  deepEqual(stdio, [0, 1, 2].map((fd) => descriptorName(pid, fd)));
  equal(new Date(created).toISOString(), created);
  const files = [...Deno.readDirSync(`${root}/${id}`)].map(({ name }) => name).sort();
  const named = <T>(value: T): T => JSON.parse(JSON.stringify(value).replaceAll(id, "ID"));
  return { record: named(record), portrait: named(portrait(pid)), config: read("config.json"), files };
}

function same(found: Made, expected: Made): void {
  deepEqual({ ...found, portrait: [] }, { ...expected, portrait: [] });
  deepEqual(compare(expected.portrait, found.portrait), []);
}

/** Waits until the program is what its script becomes. */
async function untilSleeps(containers: Containers, id: string): Promise<number> {
  for (const end = Date.now() + 30_000; Date.now() < end;) {
    const { pid } = JSON.parse(await containers.output("state", id));
    // A shell that is just about to become another program may note a signal and forget it.
    // One that is being created has no process yet.
    if (pid > 0 && Deno.readTextFileSync(`/proc/${pid}/comm`) === "sleep\n") return pid;
  }
  throw new Error("It does not sleep");
}

recreateTest("run --detach of a bundle's third container goes without Deno", async (containers) => {
  const { program, bundle } = containers;
  await containers.output("run", FIRST, "--bundle", bundle.path, "--detach"); // by Deno: flags do not stand there else
  await untilSleeps(containers, FIRST);
  const first = look(containers, FIRST);
  const pidFile = `${bundle.path}/pid`;
  containers.program = light(program);
  const second = containers.commands;
  await containers.output("run", "--bundle", bundle.path, "--pid-file", pidFile, "--detach", SECOND);
  equal(await containers.status(SECOND), "running");
  await containers.output("run", "-d", THIRD);
  for (const id of [SECOND, THIRD]) {
    const pid = await untilSleeps(containers, id);
    same(look(containers, id), first);
    if (id === SECOND) equal(Deno.readTextFileSync(pidFile), String(pid));
    await containers.output("kill", id, "KILL");
    await containers.until(id, "stopped");
    await containers.output("delete", id);
  }
  equal(containers.said(second).stdout, "ran\n");
  containers.program = program;
  await containers.output("delete", "--force", FIRST);
});

recreateTest(
  "what run --detach cannot begin without Deno is undone, and Deno says why",
  async (containers) => {
    const { program, bundle } = containers;
    const tool = `${bundle.rootfs}/bin/sh`;
    Deno.removeSync(tool);
    Deno.writeTextFileSync(tool, "\x7fno program", { mode: 0o755 }); // it is found out when it is to begin
    const failed = await containers.run("run", "--detach", FIRST);
    equal(failed.code, 1);
    match(failed.stderr, /could not become the program: ENOEXEC/);
    equal(await containers.output("list", "--quiet"), "");
    Deno.removeSync(tool);
    Deno.symlinkSync("busybox", tool);
    await containers.output("create", FIRST);
    const again = await containers.run("run", "--detach", FIRST);
    match(again.stderr, /container with given ID already exists/);
    equal(await containers.status(FIRST), "created");
    containers.program = program;
    match((await containers.run("create", "--detach", SECOND)).stderr, /detach/);
    await containers.output("delete", "--force", FIRST);
  },
);

attachedTest(
  "run --bundle waits without Deno, ends with the program's code, and leaves nothing",
  async (attached) => {
    const { containers } = attached;
    const { program, bundle } = containers;
    const pidFile = `${bundle.path}/pid`;
    containers.program = light(program);
    for (const code of [0, 7, 255]) {
      attached.write(`read word; echo "out$word"; echo err >&2; exit ${code}`);
      const answer = await containers.run("run", "--pid-file", pidFile, "-b", bundle.path, FIRST);
      deepEqual(answer, { code, stdout: "out\n", stderr: "err\n" });
      match(Deno.readTextFileSync(pidFile), /^\d+$/);
    }
    containers.program = program;
    equal(await containers.output("list", "--quiet"), "");
  },
);

attachedTest("a container of run --bundle is as one by Deno, and others come to it", async (attached) => {
  const { containers } = attached;
  attached.write("echo up; exec sleep 300");
  const byDeno = containers.begin("run", SECOND, "--bundle", containers.bundle.path);
  while ((await containers.run("state", SECOND)).code !== 0);
  await untilSleeps(containers, SECOND);
  const expected = look(containers, SECOND);
  const { answer } = await attached.begin(FIRST);
  const pid = await untilSleeps(containers, FIRST);
  same(look(containers, FIRST), expected);
  equal(await containers.status(FIRST), "running");
  equal(await containers.output("list", "--quiet"), `${FIRST}\n${SECOND}\n`);
  deepEqual(JSON.parse(await containers.output("ps", "--format", "json", FIRST)), [pid]);
  equal(await containers.output("exec", FIRST, "/bin/echo", "joined"), "joined\n");
  match((await containers.run(...attached.line(FIRST))).stderr, /already exists/);
  await containers.output("pause", FIRST);
  equal(await containers.status(FIRST), "paused");
  await containers.output("resume", FIRST);
  const groups = attached.groups(FIRST);
  // A group that somebody has made below, and a file beside the record, are for Deno to remove.
  Deno.mkdirSync(`${groups[0]}/below`);
  Deno.writeTextFileSync(`${containers.root}/${FIRST}/beside`, "");
  await containers.output("kill", FIRST, "KILL");
  deepEqual(await answer, { code: 137, stdout: "up\n", stderr: "" });
  await containers.output("delete", "--force", SECOND);
  equal((await byDeno.answer).code, 137);
});

/** The end of a run that a signal is sent to. */
async function endBy(attached: Attached, signal: Deno.Signal, script: string): Promise<number> {
  const { containers } = attached;
  attached.write(script);
  const { child, answer } = await attached.begin(FIRST);
  if (script.includes("exec")) await untilSleeps(containers, FIRST);
  child.kill(signal);
  const { code, stderr } = await answer;
  equal(stderr, "");
  equal(await containers.output("list", "--quiet"), "");
  return code;
}

attachedTest("signals reach the program of a run --bundle without Deno", async (attached) => {
  for (const signal of FORWARDED) {
    const script = `trap 'exit 41' ${signal.slice(3)}; echo up; while :; do sleep 0.05; done`;
    equal(await endBy(attached, signal, script), 41, signal);
  }
  equal(await endBy(attached, "SIGTERM", "echo up; exec sleep 300"), 143);
  equal(await endBy(attached, "SIGINT", "echo up; exec sleep 300"), 130);
});

attachedTest("who ignores signals gets the same without Deno as with it", async (attached) => {
  const { containers } = attached;
  const { program, bundle } = containers;
  attached.write("grep SigIgn /proc/self/status; exec sleep 300");
  const ignoring = ["/usr/bin/env", "--ignore-signal=HUP,INT,QUIT,USR1,USR2,TERM,CHLD"];
  const said: (string | undefined)[] = [];
  for (
    const [commands, ...args] of [
      [program, FIRST, "--bundle", bundle.path], // by Deno: flags do not stand there else
      [light(program), "--bundle", bundle.path, FIRST],
    ] as const
  ) {
    containers.program = [...ignoring, ...commands];
    const command = containers.commands;
    const { child, answer } = containers.begin("run", ...args);
    containers.program = program;
    while ((await containers.run("state", FIRST)).code !== 0);
    await untilSleeps(containers, FIRST);
    child.kill("SIGTERM");
    const { code, stderr } = await answer;
    deepEqual([code, stderr], [143, ""]);
    said.push(containers.said(command).stdout);
  }
  const none = "SigIgn:\t0000000000000000\n";
  deepEqual(said, [none, none]);
  equal(await containers.output("list", "--quiet"), "");
});

attachedTest("the program ends with a run --bundle without Deno that is killed", async (attached) => {
  const { containers } = attached;
  attached.write("echo up; exec sleep 300");
  const killed = await attached.begin(FIRST);
  killed.child.kill("SIGKILL");
  await containers.until(FIRST, "stopped");
  await containers.output("delete", FIRST);
  // A signal has it go on as a process of Deno's, which is the same, and so is the parent that the program dies with.
  attached.write("trap 'echo heard' TERM; echo up; while :; do sleep 0.05; done");
  const command = containers.commands;
  const heard = await attached.begin(FIRST);
  heard.child.kill("SIGTERM");
  const said = await eventually(() => containers.said(command).stdout, (text) => text.includes("heard"));
  equal(said, "up\nheard\n");
  equal(await containers.status(FIRST), "running");
  heard.child.kill("SIGKILL");
  await containers.until(FIRST, "stopped");
  await containers.output("delete", FIRST);
  attached.write("echo up; exec sleep 300");
  const deleted = await attached.begin(SECOND);
  await containers.output("delete", "--force", SECOND);
  deepEqual((await deleted.answer).code, 137);
});

attachedTest(
  "what a run --bundle cannot begin without Deno is undone, and Deno says why",
  async (attached) => {
    const { containers } = attached;
    const { program, bundle } = containers;
    const line = attached.line(FIRST);
    const tool = `${bundle.rootfs}/bin/sh`;
    Deno.removeSync(tool);
    Deno.writeTextFileSync(tool, "\x7fno program", { mode: 0o755 });
    const byDeno = await containers.run("run", FIRST, "--bundle", bundle.path);
    match(byDeno.stderr, /^exec \/bin\/sh: exec format error\n$/);
    deepEqual(await containers.run(...line), byDeno);
    Deno.removeSync(tool);
    Deno.symlinkSync("busybox", tool);
    equal(await containers.output("list", "--quiet"), "");
    attached.write("exit 3");
    for (
      const [what, ...args] of [
        ["LISTEN_FDS=1", ...line],
        ["NOTIFY_SOCKET=/no/such", ...line],
        ["A=b", "run", "--keep", ...line.slice(1)],
        ["A=b", "run", ...line.slice(1, 2), `${line[2]}/.`, FIRST],
        ["A=b", "--systemd-cgroup", ...line],
      ]
    ) {
      containers.program = ["/usr/bin/env", what!, ...light(program).slice(1)];
      match((await containers.run(...args)).stderr, /LD_PRELOAD/, `${what} ${args.join(" ")}`);
      containers.program = program;
      await containers.run("delete", "--force", FIRST);
    }
    containers.program = light(program);
    deepEqual(await containers.run(...line), { code: 3, stdout: "", stderr: "" });
    containers.program = program;
  },
);

attachedTest(
  "the end of a run --bundle leaves another container that has its name by then",
  async (attached) => {
    const { containers } = attached;
    for (const isLeftToDeno of [false, true]) {
      attached.write("trap 'echo heard' TERM; echo up; while :; do sleep 0.05; done");
      const command = containers.commands;
      const { child, answer } = await attached.begin(FIRST);
      if (isLeftToDeno) {
        child.kill("SIGTERM");
        await eventually(() => containers.said(command).stdout, (text) => text.includes("heard"));
      }
      await replaceUnheard(containers, child, FIRST);
      deepEqual(await answer, { code: 137, stdout: isLeftToDeno ? "up\nheard\n" : "up\n", stderr: "" });
      equal(await startReplaced(containers, FIRST), "running");
    }
  },
);
