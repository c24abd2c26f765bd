import { deepEqual, equal, notEqual } from "node:assert/strict";
import { isThere } from "../../ffi/look.ts";
import { cgroups } from "../../runtime/host/probe.ts";
import { containerTest } from "../helpers/container_test.ts";
import { eventually } from "../helpers/eventually.ts";
import { groupsOf, NetworkWorld } from "../helpers/network_world.ts";

containerTest("a network's proxy has cgroups of its own, which go with it", async () => {
  await using world = await NetworkWorld.create();
  const child = world.startRuntime([
    "run",
    "--allow",
    "192.0.2.2:80",
    "--",
    "sh",
    "-c",
    "echo up; sleep 300",
  ], { stderr: "inherit" });
  const said = child.stdout.getReader();
  await said.read();
  const [watcher, proxy] = world.proxies() as [number, number];
  const [mountinfo, own] = ["mountinfo", "cgroup"].map((name) =>
    Deno.readTextFileSync(`/proc/self/${name}`)
  ) as [string, string];
  const groups = groupsOf(proxy);
  equal(groups.length, cgroups(mountinfo, own).length, groups.join(" "));
  notEqual(groups.length, 0);
  deepEqual(groupsOf(watcher), groups);
  deepEqual(groups.filter((path) => !isThere(path)), []);

  child.kill("SIGKILL"); // whoever started it
  await child.status;
  await said.cancel();
  deepEqual(groupsOf(proxy), groups);

  Deno.kill(proxy, "SIGTERM");
  deepEqual(await eventually(() => groups.filter(isThere), ({ length }) => length === 0), []);
});
