import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { runContainer } from "../../runtime/lifecycle/run.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { replaceAtOnce, replaceUnheard, startReplaced } from "../helpers/replaced.ts";
import { containerTest } from "../helpers/container_test.ts";
import { warmUp } from "../helpers/warm_up.ts";

if (Deno.uid() === 0) await warmUp();

containerTest("a container that run waits for is known to other commands, and gone at its end", async () => {
  await using containers = new Containers();
  containers.write(["/bin/sh", "-c", "trap 'exit 7' USR1; echo up; while :; do sleep 0.1; done"]);
  const { answer } = containers.begin("run", BOX, "-b", containers.bundle.path);
  while (containers.said(0).stdout !== "up\n") await new Promise((resolve) => setTimeout(resolve, 20));
  equal(await containers.status(BOX), "running");
  match((await containers.run("run", "--bundle", ".", BOX)).stderr, /already exists/);
  await containers.output("kill", BOX, "USR1");
  deepEqual(await answer, { code: 7, stdout: "up\n", stderr: "" });
  equal(await containers.output("list", "--quiet"), "");
});

containerTest("run --keep leaves the container that has ended to delete", async () => {
  await using containers = new Containers();
  containers.write(["/bin/false"]);
  equal((await containers.run("run", "--keep", BOX)).code, 1);
  equal(await containers.status(BOX), "stopped");
  await containers.output("delete", BOX);
});

containerTest(
  "run ends with 128 and the signal that ended it, also one that pid 1 does not handle",
  async () => {
    await using containers = new Containers();
    containers.write(["/bin/sh", "-c", "echo up; exec sleep 300"]);
    const { answer, child } = containers.begin("run", "--bundle", ".", BOX);
    while (containers.said(0).stdout !== "up\n") await new Promise((resolve) => setTimeout(resolve, 20));
    const { pid } = JSON.parse(await containers.output("state", BOX));
    // A shell that is just about to become another program may note a signal and forget it.
    while (Deno.readTextFileSync(`/proc/${pid}/comm`) !== "sleep\n") {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    child.kill("SIGTERM");
    equal((await answer).code, 143);
  },
);

containerTest("delete --force ends a container that run waits for", async () => {
  await using containers = new Containers();
  const { answer } = containers.begin("run", "--bundle", ".", BOX);
  while ((await containers.run("state", BOX)).code !== 0);
  await containers.until(BOX, "running");
  await containers.output("delete", "--force", BOX);
  equal((await answer).code, 137);
});

containerTest(
  "the program ends with the command that waits for it, and the container is left to delete",
  async () => {
    await using containers = new Containers();
    const { child } = containers.begin("run", "--bundle", ".", BOX);
    while ((await containers.run("state", BOX)).code !== 0);
    await containers.until(BOX, "running");
    child.kill("SIGKILL");
    await containers.until(BOX, "stopped");
    await containers.output("delete", BOX);
  },
);

containerTest("the end of run leaves another container that has its name by then as it is", async () => {
  await using containers = new Containers();
  const { child, answer } = containers.begin("run", "--bundle", ".", BOX);
  while ((await containers.run("state", BOX)).code !== 0);
  await containers.until(BOX, "running");
  await replaceUnheard(containers, child, BOX);
  deepEqual(await answer, { code: 137, stdout: "", stderr: "" });
  equal(await startReplaced(containers, BOX), "running");
});

containerTest(
  "run --detach leaves another container that has the name of its own by then as it is",
  async () => {
    await using containers = new Containers();
    const { root, bundle } = containers;
    let looks = 0;
    const options = {
      root,
      bundle: bundle.path,
      // It is looked at before the container is made, and again between that and its start.
      get onWarning(): undefined {
        if (looks++ === 1) replaceAtOnce(containers, BOX);
        return undefined;
      },
    };
    await rejects(runContainer(BOX, options), /container does not exist/);
    equal(await startReplaced(containers, BOX), "running");
  },
);
