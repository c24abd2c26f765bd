import { deepEqual, equal, match } from "node:assert/strict";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";
import { leavesNothing } from "../helpers/census.ts";
import { list, read } from "../helpers/gone.ts";
import { waitUntil } from "../helpers/eventually.ts";

containerTest(
  "what is done to a container that has ended is not done to another one in its cgroup",
  async () => {
    await using containers = new Containers();
    const other = `${BOX}-other`;
    const { linux } = starterSpec();
    containers.write(containers.args, { linux: { ...linux, cgroupsPath: `/ai-sandbox-shared-${Deno.pid}` } });
    await containers.output("run", "--detach", BOX);
    await containers.output("kill", BOX, "KILL");
    await containers.until(BOX, "stopped");
    try {
      await containers.output("run", "--detach", other);
      const { pid } = JSON.parse(await containers.output("state", other));
      deepEqual(JSON.parse(await containers.output("ps", "--format", "json", other)), [pid]);
      deepEqual(JSON.parse(await containers.output("ps", "--format", "json", BOX)), null);
      await containers.output("kill", "--all", BOX, "KILL");
      await containers.output("delete", BOX);
      equal(await containers.status(other), "running");
      deepEqual(JSON.parse(await containers.output("ps", "--format", "json", other)), [pid]);
    } finally {
      await containers.run("delete", "--force", other);
    }
  },
);

containerTest("what is left of a cgroup that was a container's goes with a create that fails", async () => {
  await using containers = new Containers();
  const path = `/${BOX}-left`;
  const groups = (): string[] =>
    list("/sys/fs/cgroup").map(({ name }) => `/sys/fs/cgroup/${name}${path}`).filter((each) => {
      return list(each).length > 0;
    });
  const { linux } = starterSpec();
  containers.write(containers.args, { linux: { ...linux, cgroupsPath: path } });
  await leavesNothing([], async () => {
    await containers.output("create", BOX);
    const { pid } = JSON.parse(await containers.output("state", BOX));
    Deno.removeSync(`${containers.root}/${BOX}`, { recursive: true });
    Deno.kill(pid, "SIGKILL");
    await waitUntil(() => !/^State:\t[^ZX]/m.test(read(`/proc/${pid}/status`)), "init has ended");
    equal(groups().length > 0, true);
    containers.write(containers.args, {
      linux: { ...linux, cgroupsPath: path, sysctl: { "net.ipv4.there_is_none": "1" } },
    });
    const { code, stderr } = await containers.run("create", BOX);
    equal(code, 1);
    match(stderr, /there_is_none/);
    deepEqual(groups(), []);
  });
});
