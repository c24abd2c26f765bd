import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { getMark } from "../../ffi/mark.ts";
import { descriptorName } from "../../runtime/state/descriptor_name.ts";
import { nameProcess } from "../../runtime/state/liveness.ts";
import type { Record } from "../../runtime/state/record.ts";
import { compare, portrait } from "../faults/portrait.ts";
import type { Containers } from "../helpers/containers.ts";
import { FIRST, light, recreateTest, SECOND, THIRD } from "../helpers/recreates.ts";
import { SETTLED_MS } from "../helpers/reruns.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";

interface Made {
  readonly record: Record;
  readonly portrait: readonly string[];
  readonly config: string;
  readonly files: readonly string[];
}

function look({ root }: Containers, id: string): Made {
  const read = (name: string): string => Deno.readTextFileSync(`${root}/${id}/${name}`);
  const record = JSON.parse(read("record.json")) as Record;
  const files = [...Deno.readDirSync(`${root}/${id}`)].map(({ name }) => name).sort();
  return { record, portrait: portrait(record.init!.pid), config: read("config.json"), files };
}

recreateTest("a bundle's third container is made without Deno, and is as the others", async (containers) => {
  const { program, bundle, root } = containers;
  await containers.output("create", FIRST, "--bundle", bundle.path); // by Deno: flags do not stand there else
  const first = look(containers, FIRST);
  const before = Date.now();
  containers.program = light(program);
  const pidFile = `${bundle.path}/pid`;
  Deno.writeTextFileSync(`${pidFile}.new`, "of somebody else");
  await containers.output("create", "--bundle", bundle.path, "--pid-file", pidFile, SECOND);
  await containers.output("create", THIRD);
  for (const id of [SECOND, THIRD]) {
    const made = look(containers, id);
    const { init, created, stdio, ...record } = made.record;
    const pid = init!.pid;
    const { init: _, created: __, stdio: ___, ...expected } = first.record;
    deepEqual(record, JSON.parse(JSON.stringify(expected).replaceAll(FIRST, id)));
    deepEqual(init, nameProcess(pid));
    deepEqual(stdio, [0, 1, 2].map((fd) => descriptorName(pid, fd)));
    equal(new Date(created).toISOString(), created);
    ok(Date.parse(created) >= before - 1 && Date.parse(created) <= Date.now() + 1, created);
    deepEqual([made.config, made.files], [first.config, first.files]);
    deepEqual(compare(first.portrait.map((line) => line.replaceAll(FIRST, id)), made.portrait), []);
    const { ino, dev: _dev } = Deno.statSync(`${root}/${id}`);
    for (const { directory } of record.groups) {
      match(getMark(directory, "ai-sandbox.container") ?? "", new RegExp(`^\\d+:\\d+:${ino}$`));
    }
    if (id === SECOND) equal(Deno.readTextFileSync(pidFile), String(pid));
    // All that follows goes without Deno, too, and says what Deno says.
    const said = await containers.output("state", id);
    containers.program = program;
    Deno.renameSync(`${root}/${id}/moves`, `${root}/moves`);
    equal(await containers.output("state", id), said);
    Deno.renameSync(`${root}/moves`, `${root}/${id}/moves`);
    containers.program = light(program);
    await containers.output("start", id);
    equal(await containers.status(id), "running");
    await containers.output("kill", id, "KILL");
    await containers.until(id, "stopped");
    await containers.output("delete", id);
  }
  containers.program = program;
  await containers.output("delete", "--force", FIRST);
});

recreateTest("what a bundle is warned of is told without Deno, and logged by Deno", async (containers) => {
  const { program, bundle } = containers;
  const process = { ...starterSpec().process!, args: ["/bin/sleep", "300"], terminal: false };
  const capabilities = { ...process.capabilities, ambient: ["CAP_KILL", "CAP_NET_BIND_SERVICE"] };
  containers.write([], { process: { ...process, capabilities } });
  await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
  const said: string[] = [];
  for (const id of [FIRST, SECOND, THIRD]) {
    if (id === THIRD) containers.program = light(program);
    const { code, stderr } = await containers.run("create", id);
    equal(code, 0, stderr);
    said.push(stderr);
  }
  const warning = (name: string): string => `can't raise ambient capability ${name}: it is not inheritable`;
  const lines = ["CAP_KILL", "CAP_NET_BIND_SERVICE"].map((name) => `runtime: ${warning(name)}\n`).join("");
  deepEqual(said, [lines, lines, lines]);
  containers.program = program;
  await containers.output("delete", "--force", THIRD);
  // Nobody who does not read it keeps the container from being made.
  containers.program = ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", ...light(program)];
  equal((await containers.run("create", THIRD)).code, 0);
  containers.program = program;
  await containers.output("delete", "--force", THIRD);
  const log = `${bundle.path}/log`;
  containers.program = light(program);
  const { stderr } = await containers.run("--log", log, "create", THIRD);
  containers.program = program;
  match(stderr, /ld\.so/); // Deno makes it
  equal(Deno.readTextFileSync(log).match(/level=warning msg="can't raise/g)?.length, 2);
  for (const id of [FIRST, SECOND, THIRD]) await containers.output("delete", "--force", id);
});

recreateTest("what cannot be made without Deno is undone, and Deno says why", async (containers) => {
  const { program, bundle } = containers;
  const tool = `${bundle.rootfs}/bin/sh`;
  Deno.renameSync(tool, `${tool}.gone`);
  const failed = await containers.run("create", FIRST);
  equal(failed.code, 1);
  match(failed.stderr, /exec: "\/bin\/sh": stat/);
  Deno.renameSync(`${tool}.gone`, tool);
  containers.program = light(program);
  await containers.output("create", FIRST);
  containers.program = program;
  const again = await containers.run("create", FIRST);
  equal(again.code, 1);
  match(again.stderr, /container with given ID already exists/);
  // A cgroup that is there already is used, unless somebody is in it.
  const { record } = look(containers, FIRST);
  const group = record.groups[0]!.directory.replace(FIRST, SECOND);
  Deno.mkdirSync(group);
  const { ino } = Deno.statSync(group);
  await containers.output("create", SECOND);
  equal(Deno.statSync(group).ino, ino);
  for (const id of [FIRST, SECOND]) await containers.output("delete", "--force", id);
});

recreateTest(
  "a bundle that has changed, or is asked for otherwise, is left to Deno",
  async (containers, file) => {
    const { program, bundle } = containers;
    const { mtime } = Deno.statSync(file);
    const whole = Deno.readTextFileSync(`${bundle.path}/config.json`);
    Deno.writeTextFileSync(`${bundle.path}/config.json`, whole.replace("echo ran", "echo new"));
    await containers.output("create", FIRST);
    match(look(containers, FIRST).config, /echo new/);
    await containers.output("delete", "--force", FIRST);
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
    await containers.output("create", FIRST);
    await containers.output("delete", "--force", FIRST);
    notEqual(Deno.statSync(file).mtime!.getTime(), mtime!.getTime(), "its steps are kept anew");
    containers.program = light(program);
    await containers.output("create", FIRST);
    match(look(containers, FIRST).config, /echo new/);
    for (
      const [what, ...args] of [
        ["LISTEN_FDS=1", "create", SECOND],
        ["NOTIFY_SOCKET=/no/such", "create", SECOND],
        ["A=b", "create", "--no-new-keyring", SECOND],
        ["A=b", "--systemd-cgroup", "create", SECOND],
      ]
    ) {
      containers.program = ["/usr/bin/env", what!, ...light(program).slice(1)];
      match((await containers.run(...args)).stderr, /LD_PRELOAD/, what!);
      containers.program = program;
      await containers.run("delete", "--force", SECOND);
    }
    await containers.output("delete", "--force", FIRST);
  },
);
