import { deepEqual, equal, match, ok } from "node:assert/strict";
import { probeHost } from "../../runtime/host/probe.ts";
import type { Mount } from "../../runtime/spec/config.ts";
import { MOUNTS, namespaces } from "../helpers/launch_bundle.ts";
import { launchTest } from "../helpers/launch_leaks.ts";
import { mountAt, parseMountInfo } from "../helpers/launch_mountinfo.ts";
import { skip } from "../helpers/skip.ts";

const CGROUP: Mount = {
  destination: "/sys/fs/cgroup",
  type: "cgroup",
  source: "cgroup",
  options: ["nosuid", "noexec", "nodev", "relatime", "ro"],
};

for (const [name, more] of [["of its own", ["cgroup"]], ["of the host", []]] as const) {
  launchTest(
    `launch() mounts every cgroup hierarchy read-only in a cgroup namespace ${name}`,
    async (bundle) => {
      const { cgroups } = probeHost();
      if (cgroups.length === 0) return skip("needs a mounted cgroup hierarchy");
      const part = { mounts: [...MOUNTS, CGROUP], linux: { namespaces: namespaces(more) } };
      const lines = parseMountInfo(await bundle.output("cat /proc/self/mountinfo", part));
      ok(mountAt(lines, "/sys/fs/cgroup").options.includes("ro"));
      if (cgroups.length === 1) return equal(mountAt(lines, "/sys/fs/cgroup").type, "cgroup2");
      for (const { mountPoint, version, own } of cgroups) {
        const line = mountAt(lines, `/sys/fs/cgroup/${mountPoint.slice(mountPoint.lastIndexOf("/") + 1)}`);
        equal(line.type, version === 2 ? "cgroup2" : "cgroup");
        deepEqual(["ro", "nosuid", "nodev", "noexec"].filter((word) => !line.options.includes(word)), []);
        equal(line.root, more.length > 0 ? "/" : own);
      }
    },
  );
}

launchTest("launch() leaves the cgroups writable where the mount does not say ro", async (bundle) => {
  const { cgroups } = probeHost();
  if (cgroups.length < 2) return skip("needs cgroup v1");
  const mounts = [...MOUNTS, { ...CGROUP, options: ["nosuid"] }];
  const text = await bundle.output("cat /proc/self/mountinfo", {
    mounts,
    linux: { namespaces: namespaces(["cgroup"]) },
  });
  for (const { path, options } of parseMountInfo(text)) {
    if (path.startsWith("/sys/fs/cgroup")) match(options.join(), /^rw,nosuid/);
  }
});
