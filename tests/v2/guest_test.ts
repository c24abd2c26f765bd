import { deepEqual, equal } from "node:assert/strict";
import { probeHost } from "../../runtime/host/probe.ts";

Deno.test("the guest has cgroup v2, all of its controllers, and nothing of version 1", () => {
  const mountPoint = "/sys/fs/cgroup";
  deepEqual(probeHost().cgroups, [{ version: 2, controllers: "", mountPoint, own: "/" }]);
  const controllers = Deno.readTextFileSync(`${mountPoint}/cgroup.controllers`).trim().split(" ").sort();
  deepEqual(controllers, ["cpu", "cpuset", "hugetlb", "io", "memory", "misc", "pids", "rdma"]);
});

Deno.test("the guest's processes have every right that there is", () => {
  const [, effective] = /^CapEff:\s*(\w+)$/m.exec(Deno.readTextFileSync("/proc/self/status"))!;
  const last = Number(Deno.readTextFileSync("/proc/sys/kernel/cap_last_cap"));
  equal(BigInt(`0x${effective}`), (1n << BigInt(last + 1)) - 1n);
});
