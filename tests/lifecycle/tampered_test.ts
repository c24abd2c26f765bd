import { deepEqual, equal, match } from "node:assert/strict";
import { setMark } from "../../ffi/mark.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";

/** What somebody has done to the record of a container, and what is said of it. */
const TAMPERED: readonly { does: string; to: (file: string) => void; says: RegExp }[] = [
  { does: "is no JSON", to: (file) => Deno.writeTextFileSync(file, "{"), says: /Cannot use the record/ },
  { does: "is empty", to: (file) => Deno.writeTextFileSync(file, ""), says: /Cannot use the record/ },
  { does: "is not UTF-8", to: (file) => Deno.writeFileSync(file, new Uint8Array([255])), says: /Cannot use/ },
  { does: "is too long", to: (file) => Deno.truncateSync(file, 9 << 20), says: /more than/ },
  { does: "is another container's", to: (file) => change(file, { id: "other" }), says: /record of "other"/ },
  { does: "is of a later version", to: (file) => change(file, { version: 2 }), says: /\/version/ },
  {
    does: "names what is no cgroup",
    to: (file) => change(file, { groups: [group("/tmp/x")] }),
    says: /no cgroup/,
  },
  {
    does: "names what is above its cgroups",
    to: (file) => change(file, { parents: ["/tmp"] }),
    says: /no cgroup/,
  },
  {
    does: "leads out of the cgroups",
    to: (file) => change(file, { groups: [group("/sys/fs/cgroup/pids/../../../../tmp/x")] }),
    says: /plain absolute path/,
  },
  {
    does: "is a link",
    to: (file) => {
      Deno.renameSync(file, `${file}.elsewhere`);
      Deno.symlinkSync(`${file}.elsewhere`, file);
    },
    says: /ELOOP/,
  },
  {
    does: "is a fifo",
    to: (file) => {
      Deno.removeSync(file);
      new Deno.Command("mkfifo", { args: [file] }).outputSync();
    },
    says: /Cannot use the record/,
  },
];

for (const { does, to, says } of TAMPERED) {
  containerTest(`a record that ${does} is refused, but by delete --force, which leaves nothing`, async () => {
    await using containers = new Containers();
    await using stranger = new Deno.Command("sleep", { args: ["60"] }).spawn();
    await containers.output("run", "--detach", BOX);
    const { pid } = JSON.parse(await containers.output("state", BOX));
    const directory = `${containers.root}/${BOX}`;
    to(`${directory}/record.json`);
    Deno.removeSync(`${directory}/moves`, { recursive: true }); // that knew better
    const kill = await containers.run("kill", "--all", BOX, "9");
    match(kill.stderr, says);
    equal(kill.code, 1);
    equal((await containers.run("delete", BOX)).code, 1);
    equal((await containers.run("list")).code, 0); // of the others
    const { code, stderr } = await containers.run("delete", "--force", BOX);
    match(stderr, says);
    match(stderr, /removed it, and what was marked as its own: \/sys\/fs\/cgroup\/[^,]*, /);
    equal(code, 0);
    deepEqual([...Deno.readDirSync(containers.root)], []);
    equal(lives(pid), false);
    match(Deno.readTextFileSync(`/proc/${stranger.pid}/status`), /State:\tS/);
  });
}

/** What somebody has done to all that is kept of a container. */
const LOST: readonly { does: string; to: (directory: string) => void }[] = [
  {
    does: "has no files any more",
    to: (directory) =>
      [...Deno.readDirSync(directory)].forEach(({ name }) => Deno.removeSync(`${directory}/${name}`)),
  },
  {
    does: "has nothing but garbage in its files",
    to: (directory) => {
      for (const { name, isFile } of Deno.readDirSync(directory)) {
        if (isFile) Deno.writeTextFileSync(`${directory}/${name}`, "garbage");
      }
    },
  },
  {
    does: "has directories in place of its files",
    to: (directory) => {
      for (const { name } of Deno.readDirSync(directory)) {
        Deno.removeSync(`${directory}/${name}`);
        Deno.mkdirSync(`${directory}/${name}/below`, { recursive: true });
      }
    },
  },
];

for (const { does, to } of LOST) {
  for (const command of ["create", "run"]) {
    containerTest(`delete --force leaves nothing of a container of ${command} that ${does}`, async () => {
      await using containers = new Containers();
      const spec = JSON.parse(Deno.readTextFileSync(`${containers.bundle.path}/config.json`));
      const cgroupsPath = `/${BOX}-above/${BOX}`;
      containers.write(containers.args, { linux: { ...spec.linux, cgroupsPath } });
      await containers.output(command, ...(command === "run" ? ["--detach"] : []), BOX);
      const { pid } = JSON.parse(await containers.output("state", BOX));
      to(`${containers.root}/${BOX}`);
      equal((await containers.run("delete", "--force", BOX)).code, 0);
      deepEqual([...Deno.readDirSync(containers.root)], []);
      equal(lives(pid), false);
      deepEqual(groups(), []);
    });
  }
}

containerTest(
  "what is left of a record that was cut off names the first process of a container without marks",
  async () => {
    await using containers = new Containers();
    await containers.output("run", "--detach", BOX);
    const file = `${containers.root}/${BOX}/record.json`;
    const record = JSON.parse(Deno.readTextFileSync(file));
    const { init, ...rest } = record;
    Deno.writeTextFileSync(file, JSON.stringify({ ...rest, init, groups: 5 }).slice(0, -2));
    for (const { directory } of record.groups) {
      setMark(directory, "ai-sandbox.container", "none");
    }
    const { code, stderr } = await containers.run("delete", "--force", BOX);
    equal(code, 0, stderr);
    equal(lives(init.pid), false);
    for (const { directory } of record.groups) removeIfThere(directory);
  },
);

containerTest("a link in place of a container leads nowhere", async () => {
  await using containers = new Containers();
  await containers.output("create", BOX);
  const elsewhere = `${containers.bundle.path}/elsewhere`;
  Deno.renameSync(`${containers.root}/${BOX}`, elsewhere);
  Deno.symlinkSync("../elsewhere", `${containers.root}/${BOX}`);
  for (const command of [["state"], ["start"], ["delete"], ["create"]]) {
    const { code, stderr } = await containers.run(...command, BOX);
    match(stderr, /Cannot use the record .*(ELOOP|ENOTDIR)/);
    equal(code, 1);
  }
  const { code, stderr } = await containers.run("delete", "--force", BOX);
  match(stderr, /it was no directory, and is removed/);
  equal(code, 0);
  Deno.renameSync(elsewhere, `${containers.root}/${BOX}`);
  equal(await containers.status(BOX), "created");
  await containers.output("delete", BOX);
});

containerTest("a process that has got the pid of an ended container is let alone", async () => {
  await using containers = new Containers();
  await using stranger = new Deno.Command("sleep", { args: ["60"] }).spawn();
  await containers.output("create", BOX);
  await containers.output("kill", BOX, "KILL");
  await containers.until(BOX, "stopped");
  const file = `${containers.root}/${BOX}/record.json`;
  const { init } = JSON.parse(Deno.readTextFileSync(file));
  change(file, { init: { ...init, pid: stranger.pid } });
  equal(await containers.status(BOX), "stopped");
  match((await containers.run("kill", BOX, "9")).stderr, /container not running/);
  await containers.output("delete", "--force", BOX);
  match(Deno.readTextFileSync(`/proc/${stranger.pid}/status`), /State:\tS/);
});

for (const id of ["..", ".", "a/b", "", "a b", "ä", "x".repeat(1025)]) {
  containerTest(`${JSON.stringify(id.slice(0, 9))} is no id`, async () => {
    await using containers = new Containers();
    for (const command of ["create", "state", "delete"]) equal((await containers.run(command, id)).code, 1);
  });
}

/** The cgroups of the containers here, and those above them. */
function groups(): string[] {
  const args = ["/sys/fs/cgroup", "-type", "d", "-name", `${BOX}*`];
  const { stdout } = new Deno.Command("find", { args, stderr: "null" }).outputSync();
  return new TextDecoder().decode(stdout).split("\n").filter((line) => line !== "");
}

/** Whether it is there and not only waits for its parent to look: that may be this process. */
function lives(pid: number): boolean {
  try {
    return !/ Z /.test(Deno.readTextFileSync(`/proc/${pid}/stat`));
  } catch {
    return false;
  }
}

function removeIfThere(directory: string): void {
  try {
    Deno.removeSync(directory);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function group(directory: string): unknown {
  return { directory, version: 1, controllers: "pids" };
}

function change(file: string, part: Record<string, unknown>): void {
  Deno.writeTextFileSync(file, JSON.stringify({ ...JSON.parse(Deno.readTextFileSync(file)), ...part }));
}
