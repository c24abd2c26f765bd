import { deepEqual, equal } from "node:assert/strict";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";

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
