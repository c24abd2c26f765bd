import { deepEqual, equal, match, notEqual } from "node:assert/strict";
import { RUNTIME } from "./cli.ts";
import { containerTest } from "./container_test.ts";
import { BOX, Containers } from "./containers.ts";
import { skip } from "./skip.ts";
import { cannotRunSystemd, OwnSystemd } from "./systemd.ts";

const MB = 2 ** 20;
const namespaces = (["pid", "network", "ipc", "uts", "mount"] as const).map((type) => ({ type }));

/** Tests of containers whose cgroups systemd makes; the same where cgroups of version 1 and of version 2 are mounted. */
export function testSystemdContainers(version: 1 | 2): void {
  containerTest(
    `systemd makes the scope of a container, with its limits, on version ${version}`,
    async () => {
      const reason = cannotRunSystemd();
      if (reason !== undefined) return skip(reason);
      await using systemd = await OwnSystemd.start();
      await using containers = new Containers([...systemd.wrapper, ...RUNTIME, "--systemd-cgroup"]);
      containers.write(["/bin/sleep", "300"], {
        linux: {
          namespaces,
          cgroupsPath: `test-own.slice:box:${BOX}`,
          resources: {
            memory: { limit: 64 * MB },
            pids: { limit: 20 },
            cpu: { quota: 50_000, period: 100_000 },
          },
        },
        annotations: {
          "org.systemd.property.TimeoutStopSec": "uint64 7",
          "org.systemd.property.CollectMode": "'inactive-or-failed'",
        },
      });
      await containers.output("create", BOX);
      const unit = `box-${BOX}.scope`;
      const path = `/test.slice/test-own.slice/${unit}`;
      const shown = await systemd.show(unit);
      const wanted = {
        ActiveState: "active",
        Slice: "test-own.slice",
        ControlGroup: path,
        Delegate: "yes",
        TasksMax: "20",
        CPUQuotaPerSecUSec: "500ms",
        [version === 1 ? "MemoryLimit" : "MemoryMax"]: String(64 * MB),
        TimeoutStopUSec: "7s",
        CollectMode: "inactive-or-failed",
        DevicePolicy: "strict",
      };
      deepEqual(Object.fromEntries(Object.keys(wanted).map((key) => [key, shown[key]])), wanted);
      match(shown.DeviceAllow ?? "", /\/dev\/char\/1:3 rwm/);
      const limit = (): string => Deno.readTextFileSync(systemd.file(path, "pids.max")).trim();
      const members = (): string[] => {
        return Deno.readTextFileSync(systemd.file(path, "pids.procs").replace("pids.procs", "cgroup.procs"))
          .trim().split("\n");
      };
      deepEqual([limit(), members().length], ["20", 1]);
      await containers.output("start", BOX);
      equal(await containers.status(BOX), "running");
      await containers.output("update", "--pids-limit", "30", "--memory", "96m", BOX);
      const { TasksMax, MemoryMax, MemoryLimit } = await systemd.show(unit);
      deepEqual([TasksMax, version === 1 ? MemoryLimit : MemoryMax, limit()], ["30", String(96 * MB), "30"]);
      equal((await containers.run("update", "--pids-limit", "9", "--cpuset-cpus", "999", BOX)).code, 1);
      deepEqual([(await systemd.show(unit)).TasksMax, limit()], ["30", "30"]);
      await containers.output("pause", BOX);
      equal(await containers.status(BOX), "paused");
      await containers.output("delete", "--force", BOX);
      equal((await systemd.show(unit)).ActiveState, "inactive");
      equal(isThere(systemd.file(path, "cgroup.procs")), false);
    },
  );

  containerTest(`systemd refuses in its own words, and nothing is left, on version ${version}`, async () => {
    const reason = cannotRunSystemd();
    if (reason !== undefined) return skip(reason);
    await using systemd = await OwnSystemd.start({ bus: true });
    await using containers = new Containers([...systemd.wrapper, ...RUNTIME, "--systemd-cgroup"]);
    const linux = { namespaces, cgroupsPath: `system.slice:box:${BOX}` };
    for (
      const [part, message] of [
        [{ linux: { ...linux, cgroupsPath: "/absolute/path" } }, /expected cgroupsPath to be of format/],
        [{ linux, annotations: { "org.systemd.property.NoSuchThing": "true" } }, /NoSuchThing/],
        [{ linux, annotations: { "org.systemd.property.CollectMode": "[" } }, /no value such as/],
      ] as const
    ) {
      containers.write(["/bin/sleep", "300"], part);
      const { code, stderr } = await containers.run("create", BOX);
      equal(code, 1);
      match(stderr, message);
      notEqual((await systemd.show(`box-${BOX}.scope`)).ActiveState, "active");
      equal(await containers.output("list", "--quiet"), "");
    }
    containers.write(["/bin/nosuch"], { linux });
    equal((await containers.run("run", "--detach", BOX)).code, 1);
    equal((await systemd.show(`box-${BOX}.scope`)).ActiveState, "inactive");
  });
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path) !== undefined;
  } catch {
    return false;
  }
}
