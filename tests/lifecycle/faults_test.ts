import { deepEqual, equal, match } from "node:assert/strict";
import { BOX, Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";

/** How many moments of a command are tried, from its start to its end. */
const POINTS = 14;

containerTest("a container whose create is killed at any moment can be deleted, and made again", async () => {
  await using containers = new Containers();
  const wholeMs = await took(() => containers.run("create", BOX));
  await containers.output("delete", BOX);
  for (let point = 1; point <= POINTS; point++) {
    await killAfter(containers, wholeMs * point / POINTS, "create", BOX);
    await containers.output("delete", "--force", BOX);
    deepEqual(await containers.run("list", "--quiet"), { code: 0, stdout: "", stderr: "" }, `point ${point}`);
    deepEqual(groups(), [], `point ${point}`);
  }
  await containers.output("create", BOX);
  await containers.output("delete", BOX);
});

containerTest("a container whose delete is killed at any moment can be deleted", async () => {
  await using containers = new Containers();
  await containers.output("run", "--detach", BOX);
  const wholeMs = await took(() => containers.run("delete", "--force", BOX));
  for (let point = 1; point <= POINTS; point++) {
    await containers.output("run", "--detach", BOX);
    await killAfter(containers, wholeMs * point / POINTS, "delete", "--force", BOX);
    await containers.output("delete", "--force", BOX);
    deepEqual(groups(), [], `point ${point}`);
  }
});

containerTest("a container whose start is killed at any moment is created or running", async () => {
  await using containers = new Containers();
  await containers.output("create", BOX);
  const wholeMs = await took(() => containers.run("start", BOX));
  await containers.output("delete", "--force", BOX);
  for (let point = 1; point <= 6; point++) {
    await containers.output("create", BOX);
    await killAfter(containers, wholeMs * point / 6, "start", BOX);
    const status = await containers.status(BOX);
    match(status, /^(created|running)$/);
    if (status === "created") await containers.run("start", BOX); // the killed one may just have come through
    equal(await containers.status(BOX), "running");
    await containers.output("delete", "--force", BOX);
  }
});

containerTest("an init whose creator died before it knew of it is ended by delete --force", async () => {
  await using containers = new Containers();
  await containers.output("create", BOX);
  const file = `${containers.root}/${BOX}/record.json`;
  const { init, ...record } = JSON.parse(Deno.readTextFileSync(file));
  Deno.writeTextFileSync(file, JSON.stringify({ ...record, phase: "creating", groups: [], parents: [] }));
  await new Deno.Command("rm", { args: ["-f", `${containers.root}/${BOX}/moves`] }).output();
  equal(await containers.status(BOX), "stopped");
  await containers.output("delete", "--force", BOX);
  for (const { directory } of record.groups) Deno.removeSync(directory);
  match(stateOf(init.pid), /^Z?$/);
});

containerTest("of several creates of one id at once exactly one succeeds", async () => {
  await using containers = new Containers();
  const answers = await Promise.all(Array.from({ length: 4 }, () => containers.run("create", BOX)));
  deepEqual(answers.map(({ code }) => code).sort(), [0, 1, 1, 1]);
  for (const { code, stderr } of answers) {
    if (code !== 0) match(stderr, /container with given ID already exists/);
  }
  equal(await containers.status(BOX), "created");
  await Promise.all([1, 2, 3].map(() => containers.output("delete", "--force", BOX)));
});

async function took(body: () => Promise<{ code: number }>): Promise<number> {
  const began = performance.now();
  equal((await body()).code, 0);
  return performance.now() - began;
}

async function killAfter(containers: Containers, ms: number, ...args: readonly string[]): Promise<void> {
  const { child, answer } = containers.begin(...args);
  const timer = setTimeout(() => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has just ended.
    }
  }, ms);
  await answer;
  clearTimeout(timer);
}

/** The cgroups of the containers here. */
function groups(): string[] {
  const args = ["/sys/fs/cgroup", "-type", "d", "-name", BOX];
  const { stdout } = new Deno.Command("find", { args, stderr: "null" }).outputSync();
  return new TextDecoder().decode(stdout).split("\n").filter((line) => line !== "");
}

/** The letter of a process's state, nothing if it is gone. */
function stateOf(pid: number): string {
  try {
    return /^State:\t(\w)/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))?.[1] ?? "";
  } catch {
    return "";
  }
}
