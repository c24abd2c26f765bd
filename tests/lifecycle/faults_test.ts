import { deepEqual, equal, match } from "node:assert/strict";
import { Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";

/** How many moments of a command are tried, from its start to its end. */
const POINTS = 14;

containerTest("a container whose create is killed at any moment can be deleted, and made again", async () => {
  using containers = new Containers();
  const wholeMs = await took(() => containers.run("create", "box"));
  await containers.output("delete", "box");
  for (let point = 1; point <= POINTS; point++) {
    await killAfter(containers, wholeMs * point / POINTS, "create", "box");
    await containers.output("delete", "--force", "box");
    deepEqual(await containers.run("list", "--quiet"), { code: 0, stdout: "", stderr: "" }, `point ${point}`);
    deepEqual(groups(), [], `point ${point}`);
  }
  await containers.output("create", "box");
  await containers.output("delete", "box");
});

containerTest("a container whose delete is killed at any moment can be deleted", async () => {
  using containers = new Containers();
  await containers.output("run", "--detach", "box");
  const wholeMs = await took(() => containers.run("delete", "--force", "box"));
  for (let point = 1; point <= POINTS; point++) {
    await containers.output("run", "--detach", "box");
    await killAfter(containers, wholeMs * point / POINTS, "delete", "--force", "box");
    await containers.output("delete", "--force", "box");
    deepEqual(groups(), [], `point ${point}`);
  }
});

containerTest("a container whose start is killed at any moment is created or running", async () => {
  using containers = new Containers();
  await containers.output("create", "box");
  const wholeMs = await took(() => containers.run("start", "box"));
  await containers.output("delete", "--force", "box");
  for (let point = 1; point <= 6; point++) {
    await containers.output("create", "box");
    await killAfter(containers, wholeMs * point / 6, "start", "box");
    const status = await containers.status("box");
    match(status, /^(created|running)$/);
    if (status === "created") await containers.run("start", "box"); // the killed one may just have come through
    equal(await containers.status("box"), "running");
    await containers.output("delete", "--force", "box");
  }
});

containerTest("an init whose creator died before it knew of it is ended by delete --force", async () => {
  using containers = new Containers();
  await containers.output("create", "box");
  const file = `${containers.root}/box/record.json`;
  const { init, ...record } = JSON.parse(Deno.readTextFileSync(file));
  Deno.writeTextFileSync(file, JSON.stringify({ ...record, phase: "creating", groups: [], parents: [] }));
  equal(await containers.status("box"), "stopped");
  await containers.output("delete", "--force", "box");
  equal(isThere(`/proc/${init.pid}/cwd`), false);
  for (const { directory } of record.groups) Deno.removeSync(directory);
});

containerTest("of several creates of one id at once exactly one succeeds", async () => {
  using containers = new Containers();
  const answers = await Promise.all(Array.from({ length: 4 }, () => containers.run("create", "box")));
  deepEqual(answers.map(({ code }) => code).sort(), [0, 1, 1, 1]);
  for (const { code, stderr } of answers) {
    if (code !== 0) match(stderr, /container with given ID already exists/);
  }
  equal(await containers.status("box"), "created");
  await Promise.all([1, 2, 3].map(() => containers.output("delete", "--force", "box")));
});

async function took(body: () => Promise<{ code: number }>): Promise<number> {
  const began = performance.now();
  equal((await body()).code, 0);
  return performance.now() - began;
}

async function killAfter(containers: Containers, ms: number, ...args: readonly string[]): Promise<void> {
  const { child, answer } = containers.begin(...args);
  const timer = setTimeout(() => child.kill("SIGKILL"), ms);
  await answer;
  clearTimeout(timer);
}

/** The cgroups of containers called `box`. */
function groups(): string[] {
  return [...Deno.readDirSync("/sys/fs/cgroup")].map(({ name }) => `/sys/fs/cgroup/${name}/ai-sandbox-box`)
    .filter(isThere);
}

function isThere(path: string): boolean {
  try {
    return Deno.lstatSync(path) !== undefined;
  } catch {
    return false;
  }
}
