import { deepEqual, equal } from "node:assert/strict";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { containerTest } from "../helpers/container_test.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { MOUNTS } from "../helpers/launch_bundle.ts";
import { skip } from "../helpers/skip.ts";

const CGROUP = { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro"] };

for (const [name, more] of [["of its own", ["cgroup"]], ["of the host", []]] as const) {
  containerTest(`a container sees its limits at /sys/fs/cgroup, in a cgroup namespace ${name}`, async () => {
    await using containers = new Containers();
    const v1 = "/sys/fs/cgroup/pids/pids.max";
    const file = isThere("/sys/fs/cgroup/pids") ? v1 : "/sys/fs/cgroup/pids.max";
    const { linux = {} } = starterSpec();
    const namespaces = (["pid", "network", "ipc", "uts", "mount", ...more] as const).map((type) => ({
      type,
    }));
    containers.write(["/bin/cat", file], {
      mounts: [...MOUNTS, CGROUP],
      linux: { ...linux, namespaces, resources: { pids: { limit: 7 } } },
    });
    if (!isThere("/sys/fs/cgroup")) return skip("needs cgroups");
    equal((await containers.run("run", "--bundle", ".", BOX)).stdout, "7\n");
  });
}

containerTest(
  "nothing that is mounted in a container is shared with the host, where all is shared",
  async () => {
    if (!isThere("/sys/fs/cgroup")) return skip("needs cgroups");
    await using containers = new Containers();
    const shared = 'mount --make-rshared / && exec "$@"';
    containers.program = [
      "unshare",
      "-m",
      "--propagation",
      "slave",
      "sh",
      "-c",
      shared,
      "sh",
      ...containers.program,
    ];
    const { linux = {} } = starterSpec();
    const bind = { destination: "/host", type: "bind", source: containers.bundle.path, options: ["rbind"] };
    const mappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
    const users = { uidMappings: mappings, gidMappings: mappings };
    for (const more of [[], ["cgroup"], ["cgroup", "user"]] as const) {
      const namespaces = (["pid", "network", "ipc", "uts", "mount", ...more] as const).map((type) => ({
        type,
      }));
      containers.write(["/bin/cat", "/proc/self/mountinfo"], {
        mounts: [...MOUNTS, CGROUP, bind],
        linux: { ...linux, namespaces, ...(more.length > 1 && users) },
      });
      const lines = (await containers.output("run", "--bundle", ".", BOX)).trimEnd().split("\n");
      equal(lines.some((line) => line.includes(" /sys/fs/cgroup")), true);
      deepEqual(lines.filter((line) => line.includes(" shared:")), []);
    }
  },
);

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
