import { deepEqual, equal, match, ok } from "node:assert/strict";
import { isThere } from "../../ffi/look.ts";
import type { Hooks } from "../../runtime/spec/config.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";
import { eventually } from "../helpers/eventually.ts";
import { HOST } from "../unit/runtime/cgroup/groups.ts";

/** What a command may take that must not wait for anybody, on a busy machine. */
const SOON_MS = 18_000;

/** With as many a container fits. */
const MOST_INODES = 8;
containerTest("a container that is frozen before its start keeps no command waiting", async () => {
  await using containers = new Containers();
  await containers.output("create", BOX);
  await containers.output("pause", BOX);
  match((await soon(containers, "start", BOX)).stderr, /cannot start a container in the paused state/);
  equal(await containers.status(BOX), "paused");
  equal((await soon(containers, "delete", "--force", BOX)).code, 0);
  await containers.output("create", BOX);
  await containers.output("start", BOX);
  await containers.output("pause", BOX);
  equal((await soon(containers, "kill", BOX, "KILL")).code, 0);
  await containers.until(BOX, "stopped");
  equal((await soon(containers, "delete", BOX)).code, 0);
});

containerTest("a container below a group that is frozen is deleted, and the group stays frozen", async () => {
  const freezer = HOST.find(({ version, controllers }) => version === 1 && controllers === "freezer");
  const unified = HOST.find(({ version }) => version === 2);
  const above = `${(freezer ?? unified)!.mountPoint}/${BOX}-frozen`;
  await using containers = new Containers();
  const spec = JSON.parse(Deno.readTextFileSync(`${containers.bundle.path}/config.json`));
  containers.write(["/bin/sh", "-c", "sleep 300 & sleep 300"], {
    linux: { ...spec.linux, cgroupsPath: `/${BOX}-frozen/${BOX}` },
  });
  Deno.mkdirSync(above);
  try {
    for (const command of [["create"], ["run", "--detach"]]) {
      for (const spoil of [false, true]) {
        await containers.output(...command, BOX);
        const file = freezer ? [`${above}/freezer.state`, "FROZEN"] : [`${above}/cgroup.freeze`, "1"];
        Deno.writeTextFileSync(file[0]!, file[1]!);
        if (spoil) Deno.writeTextFileSync(`${containers.root}/${BOX}/record.json`, "{");
        const { code, stderr } = await soon(containers, "delete", "--force", BOX);
        equal(code, 0, `${command[0]}${spoil ? ", spoiled" : ""}: ${stderr}`);
        deepEqual([...Deno.readDirSync(containers.root)], []);
        match(Deno.readTextFileSync(file[0]!), /^(FROZEN|1)\n$/);
        Deno.writeTextFileSync(file[0]!, freezer ? "THAWED" : "0");
      }
    }
  } finally {
    Deno.removeSync(above);
  }
});

for (const kind of ["createRuntime", "startContainer", "poststart"] as const) {
  containerTest(
    `a container whose ${kind} hook does not end is deleted, and who waits for the hook ends`,
    async () => {
      await using containers = new Containers();
      const { rootfs } = containers.bundle;
      const begun = kind === "startContainer" ? "/begun" : `${rootfs}/begun`;
      const args = ["sh", "-c", `: >${begun}; sleep 300`];
      const hooks: Hooks = { [kind]: [{ path: "/bin/sh", args }] };
      containers.write(["/bin/sleep", "300"], { hooks });
      const isEarly = kind === "createRuntime";
      if (!isEarly) await containers.output("create", BOX);
      const waiting = containers.begin(isEarly ? "create" : "start", BOX);
      if (isEarly) await hasInit(containers);
      ok(await eventually(() => isThere(`${rootfs}/begun`), (is) => is), "the hook does not begin");
      equal((await soon(containers, "delete", "--force", BOX)).code, 0);
      ok((await waiting.answer).code !== 0);
    },
  );
}

for (
  const [what, spoil] of [
    ["is gone", (file: string) => Deno.removeSync(file)],
    ["is a file", (file: string) => (Deno.removeSync(file), Deno.writeTextFileSync(file, ""))],
    ["is another fifo that nobody reads", (file: string) => (Deno.removeSync(file), makeFifo(file))],
    ["leads elsewhere", (file: string) => (Deno.removeSync(file), Deno.symlinkSync("/dev/null", file))],
  ] as const
) {
  containerTest(`a start gate that ${what} keeps no command waiting`, async () => {
    await using containers = new Containers();
    await containers.output("create", BOX);
    spoil(`${containers.root}/${BOX}/exec.fifo`);
    const start = await soon(containers, "start", BOX);
    equal(start.code, 1, start.stdout);
    await soon(containers, "state", BOX);
    equal((await soon(containers, "delete", "--force", BOX)).code, 0);
    deepEqual([...Deno.readDirSync(containers.root)], []);
  });
}

containerTest("a store that is full at any file keeps nothing of a container", async () => {
  await using containers = new Containers();
  // Inodes of the tmpfs: of its root, then of one thing more each time.
  for (let inodes = 2; inodes <= MOST_INODES; inodes++) {
    const { create, remove, left } = await inFullStore(containers, `nr_inodes=${inodes}`);
    equal(remove, 0, `${inodes}`);
    equal(left, "", `${inodes}`);
    deepEqual(groups(), []);
    if (inodes < 5) ok(create !== 0);
    if (inodes === MOST_INODES) equal(create, 0);
  }
  // A page is a file.
  for (const size of ["4k", "8k", "12k"]) {
    const { remove, left } = await inFullStore(containers, `size=${size}`);
    deepEqual([remove, left, ...groups()], [0, ""], size);
  }
});

/** Makes and removes a container whose directory of containers is a file system of its own, in its own namespace. */
async function inFullStore(
  containers: Containers,
  options: string,
): Promise<{ create: number; remove: number; left: string }> {
  const script = `mkdir -p "$ROOT" && mount -t tmpfs -o ${options} tmpfs "$ROOT" || exit 1
    "$@" --root "$ROOT" create ${BOX} </dev/null >/dev/null 2>&1; create=$?
    "$@" --root "$ROOT" delete --force ${BOX} >/dev/null 2>&1; remove=$?
    echo $create $remove $(ls -A "$ROOT")`;
  const { stdout } = await new Deno.Command("unshare", {
    args: ["--mount", "/bin/sh", "-c", script, "sh", ...containers.program],
    cwd: containers.bundle.path,
    env: { ROOT: containers.root },
    stdin: "null",
  }).output();
  const [, create, remove, left = ""] = /^(\d+) (\d+) ?(.*)\n$/.exec(new TextDecoder().decode(stdout)) ?? [];
  return { create: Number(create), remove: Number(remove), left };
}

/** Runs a command that must come to an end by itself. */
async function soon(
  containers: Containers,
  ...args: readonly string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const began = performance.now();
  const answer = await containers.run(...args);
  const ms = performance.now() - began;
  ok(ms < SOON_MS, `${args.join(" ")} took ${Math.round(ms)} ms`);
  return answer;
}

async function hasInit({ root }: Containers): Promise<void> {
  for (const end = Date.now() + 30_000; Date.now() < end;) {
    try {
      if (JSON.parse(Deno.readTextFileSync(`${root}/${BOX}/record.json`)).init) return;
    } catch {
      // It is not written yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("the first process is not known");
}

function groups(): string[] {
  const args = ["/sys/fs/cgroup", "-type", "d", "-name", BOX];
  const { stdout } = new Deno.Command("find", { args, stderr: "null" }).outputSync();
  return new TextDecoder().decode(stdout).split("\n").filter((line) => line !== "");
}

function makeFifo(file: string): void {
  new Deno.Command("mkfifo", { args: [file] }).outputSync();
}
