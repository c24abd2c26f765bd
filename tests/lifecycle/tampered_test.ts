import { equal, match } from "node:assert/strict";
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
  containerTest(`a record that ${does} is refused`, async () => {
    await using containers = new Containers();
    await containers.output("create", BOX);
    const file = `${containers.root}/${BOX}/record.json`;
    const record = Deno.readTextFileSync(file);
    to(file);
    for (const args of [["kill", "--all", BOX, "9"], ["delete", "--force", BOX]]) {
      const { code, stderr } = await containers.run(...args);
      match(stderr, says);
      equal(code, 1);
    }
    equal((await containers.run("list")).code, 0); // of the others
    Deno.removeSync(file);
    Deno.writeTextFileSync(file, record);
    equal(await containers.status(BOX), "created");
    await containers.output("delete", BOX);
  });
}

containerTest("a link in place of a container leads nowhere", async () => {
  await using containers = new Containers();
  await containers.output("create", BOX);
  Deno.renameSync(`${containers.root}/${BOX}`, `${containers.bundle.path}/elsewhere`);
  Deno.symlinkSync("../elsewhere", `${containers.root}/${BOX}`);
  for (const command of [["state"], ["start"], ["delete", "--force"], ["create"]]) {
    const { code, stderr } = await containers.run(...command, BOX);
    match(stderr, /Cannot use the record .*(ELOOP|ENOTDIR)/);
    equal(code, 1);
  }
  Deno.removeSync(`${containers.root}/${BOX}`);
  Deno.renameSync(`${containers.bundle.path}/elsewhere`, `${containers.root}/${BOX}`);
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

function group(directory: string): unknown {
  return { directory, version: 1, controllers: "pids" };
}

function change(file: string, part: Record<string, unknown>): void {
  Deno.writeTextFileSync(file, JSON.stringify({ ...JSON.parse(Deno.readTextFileSync(file)), ...part }));
}
