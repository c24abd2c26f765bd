import { deepEqual, equal, match, notEqual } from "node:assert/strict";
import { BOX, Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";
import { groupFile, groupValue } from "../helpers/container_groups.ts";
import { updateContainer } from "../../mod.ts";
import type { Resources, Spec } from "../../runtime/spec/config.ts";

const MB = 2 ** 20;
const NAMESPACES = ["pid", "network", "ipc", "uts", "mount"] as const;

/** A container that waits for its end, with limits; its first process. */
async function running(
  containers: Containers,
  resources: Resources = {},
  more: Spec["linux"] = {},
): Promise<number> {
  const linux = { namespaces: NAMESPACES.map((type) => ({ type })), resources, ...more };
  containers.write(["/bin/sleep", "300"], { linux });
  await containers.output("run", "--detach", BOX);
  return JSON.parse(await containers.output("state", BOX)).pid;
}

/** The limits that hold, by what version 1 and version 2 call them. */
function limits(pid: number): Record<string, string | undefined> {
  const [max = "", period] = groupValue(pid, "cpu.max")?.split(" ") ?? [];
  return {
    memory: groupValue(pid, "memory.limit_in_bytes", "memory.max"),
    pids: groupValue(pid, "pids.max"),
    quota: groupValue(pid, "cpu.cfs_quota_us") ?? max,
    period: groupValue(pid, "cpu.cfs_period_us") ?? period,
    cpus: groupValue(pid, "cpuset.cpus"),
    idle: groupValue(pid, "cpu.idle"),
  };
}

function keptResources(containers: Containers): Resources {
  return JSON.parse(Deno.readTextFileSync(`${containers.root}/${BOX}/config.json`)).linux.resources;
}

containerTest(
  "update changes every limit of a container that runs, by flags, and remembers them",
  async () => {
    await using containers = new Containers();
    const pid = await running(containers, { memory: { limit: 32 * MB }, pids: { limit: 20 } });
    const flags = [
      "--memory",
      "64MB",
      "--pids-limit=10",
      "--cpu-quota",
      "50000",
      "--cpuset-cpus",
      "0",
      "--cpu-idle",
      "1",
    ];
    equal(await containers.output("update", BOX, "--cpu-period", "90000", ...flags), "");
    deepEqual(limits(pid), {
      memory: String(64 * MB),
      pids: "10",
      quota: "50000",
      period: "90000",
      cpus: "0",
      idle: "1",
    });
    await containers.output("update", "--pids-limit", "-1", "--cpu-quota", "-1", BOX);
    const { pids, period } = limits(pid);
    deepEqual([pids, period], ["max", "90000"]);
    deepEqual(keptResources(containers), {
      memory: { limit: 64 * MB },
      pids: { limit: -1 },
      cpu: { quota: -1, period: 90_000, cpus: "0", idle: 1 },
    });
  },
);

containerTest(
  "update raises and lowers memory and swap together in the order that the kernel takes",
  async () => {
    await using containers = new Containers();
    const pid = await running(containers, { memory: { limit: 64 * MB, swap: 64 * MB } });
    const both = (): (string | undefined)[] => {
      return [groupValue(pid, "memory.limit_in_bytes"), groupValue(pid, "memory.memsw.limit_in_bytes")];
    };
    if (both()[1] === undefined) return;
    for (const [memory, swap] of [[128, 256], [16, 24], [32, 32], [256, 512]] as const) {
      await containers.output("update", "--memory", `${memory}m`, "--memory-swap", `${swap}M`, BOX);
      deepEqual(both(), [String(memory * MB), String(swap * MB)]);
    }
    await containers.output("update", "--memory", "-1", BOX);
    deepEqual(new Set(both()).size, 1);
  },
);

containerTest("update reads limits from a file and from stdin, as engines write them", async () => {
  await using containers = new Containers();
  const pid = await running(containers);
  const file = `${containers.bundle.path}/new.json`;
  const write = (resources: unknown): void => Deno.writeTextFileSync(file, JSON.stringify(resources));
  write({ pids: { limit: 33 }, cpu: { shares: 0, cpus: "" }, memory: { limit: 0 }, devices: null, other: 1 });
  for (const flags of [["--resources", file], [`-r=${file}`]]) {
    await containers.output("update", ...flags, BOX);
    equal(limits(pid).pids, "33");
    await containers.output("update", "--pids-limit", "7", BOX);
  }
  for (const form of ["--resources -", "--resources=-", "-r -", "-resources -"]) {
    write({ pids: { limit: form.length } });
    const script = `"$@" update ${form} ${BOX} <"${file}"`;
    const { success } = await new Deno.Command("/bin/sh", {
      args: ["-c", script, "sh", ...containers.program, "--root", containers.root],
    }).output();
    deepEqual([success, limits(pid).pids], [true, String(form.length)]);
  }
});

containerTest(
  "update changes all or nothing, and names the file and the value that was refused",
  async () => {
    await using containers = new Containers();
    const pid = await running(containers, { pids: { limit: 20 }, memory: { limit: 64 * MB } });
    const [before, kept] = [limits(pid), keptResources(containers)];
    for (
      const [file, ...flags] of [["cpuset.cpus", "--cpuset-cpus", "999"], ["cpu.", "--cpu-period", "10"]]
    ) {
      const { code, stderr } = await containers.run(
        "update",
        "--memory",
        "32MB",
        "--pids-limit",
        "5",
        ...flags,
        BOX,
      );
      equal(code, 1);
      match(stderr, new RegExp(`write ".*${flags[1]}" to ".*/${file}`));
      deepEqual([limits(pid), keptResources(containers)], [before, kept]);
    }
    await containers.output("update", "--memory-swap", "64m", BOX);
    const apart = await containers.run("update", "--memory", "96m", "--pids-limit", "5", BOX);
    match(apart.stderr, /memory and swap together are below memory alone/);
    deepEqual(limits(pid), before);
    for (
      const flags of [["--memory", "5x"], ["--cpu-idle", "3"], ["--pids-limit", "a"], ["--blkio-weight", "5"]]
    ) {
      equal((await containers.run("update", "--memory", "32MB", ...flags, BOX)).code, 1, flags.join(" "));
      deepEqual(limits(pid), before);
    }
    const { stderr } = await containers.run("update", "--l3-cache-schema", "L3:0=f", BOX);
    match(stderr, /l3 cache schema is not enabled/);
    const bandwidth = await containers.run("update", "--mem-bw-schema", "MB:0=50", BOX);
    match(bandwidth.stderr, /memory bandwidth schema is not enabled/);
  },
);

containerTest(
  "update is refused for what has ended and what is not there, and allowed for what waits or is paused",
  async () => {
    await using containers = new Containers();
    match((await containers.run("update", "--pids-limit", "5", BOX)).stderr, /container does not exist/);
    await containers.output("create", BOX);
    await containers.output("update", "--pids-limit", "5", BOX);
    await containers.output("start", BOX);
    await containers.output("pause", BOX);
    await containers.output("update", "--pids-limit", "6", BOX);
    const { pid, status } = JSON.parse(await containers.output("state", BOX));
    deepEqual([status, limits(pid).pids], ["paused", "6"]);
    await containers.output("resume", BOX);
    await containers.output("kill", BOX, "KILL");
    await containers.until(BOX, "stopped");
    deepEqual(await containers.run("update", "--pids-limit", "5", BOX), {
      code: 1,
      stdout: "",
      stderr: "runtime: container not running\n",
    });
  },
);

containerTest("update warns of kernel memory, which no kernel limits any more", async () => {
  await using containers = new Containers();
  await running(containers);
  for (const flag of ["--kernel-memory", "--kernel-memory-tcp"]) {
    const log = `${containers.bundle.path}/log${flag}`;
    const { code, stderr } = await containers.run(
      ...["--log", log, "--log-format", "json", "update", flag, "50M", BOX],
    );
    deepEqual([code, /kernel memory/i.test(stderr)], [0, true]);
    const { level, msg } = JSON.parse(Deno.readTextFileSync(log));
    deepEqual([level, msg], ["warning", "Kernel memory settings are ignored and will be removed"]);
  }
});

containerTest(
  "a container can use its usual devices and no others, with rules or without, and as update says",
  async () => {
    for (const rules of [undefined, [{ allow: false, access: "rwm" }]]) {
      await using containers = new Containers();
      const pid = await running(containers, rules && { devices: rules });
      const file = groupFile(pid, "devices.list");
      const list = (): string[] => Deno.readTextFileSync(file).trim().split("\n");
      for (const each of ["1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:2", "136:*"]) {
        equal(list().includes(`c ${each} rwm`), true, each);
      }
      equal(list().some((line) => line.startsWith("a ") || line.startsWith("b 8:")), false);
      const more = [{ allow: false, access: "rwm" }, {
        allow: true,
        type: "b",
        major: 8,
        minor: 0,
        access: "r",
      }] as const;
      await updateContainer(BOX, { devices: more }, { root: containers.root });
      deepEqual(list().filter((line) => line.startsWith("b 8:")), ["b 8:0 r"]);
      await updateContainer(BOX, { devices: [more[0]] }, { root: containers.root });
      equal(list().some((line) => line.startsWith("b 8:")), false);
    }
  },
);

containerTest(
  "a cgroup that is there already is used if it is empty, kept if create fails, and removed by delete",
  async () => {
    const outer = `/ai-sandbox-test-${Deno.pid}`;
    const directory = `/sys/fs/cgroup/pids${outer}`;
    const freezer = `/sys/fs/cgroup/freezer${outer}`;
    await using containers = new Containers();
    await using _ = {
      async [Symbol.asyncDispose](): Promise<void> {
        await containers.run("delete", "--force", BOX);
        for (const each of [`${directory}/own`, directory, `${freezer}/own`, freezer]) {
          await Deno.remove(each).catch(() => {});
        }
      },
    };
    for (const each of [directory, freezer]) Deno.mkdirSync(`${each}/own`, { recursive: true });
    const path = { cgroupsPath: `${outer}/own` };
    const namespaces = NAMESPACES.map((type) => ({ type }));
    // In use by another.
    const sleeper = new Deno.Command("/bin/sleep", { args: ["300"] }).spawn();
    Deno.writeTextFileSync(`${directory}/own/cgroup.procs`, String(sleeper.pid));
    containers.write(["/bin/sleep", "300"], { linux: { namespaces, ...path } });
    match(
      (await containers.run("create", BOX)).stderr,
      /container's cgroup is not empty: 1 process\(es\) found/,
    );
    equal((await containers.run("delete", "--force", BOX)).code, 0);
    Deno.kill(sleeper.pid, 0); // it lives
    sleeper.kill("SIGKILL");
    await sleeper.status;
    // Frozen.
    Deno.writeTextFileSync(`${freezer}/own/freezer.state`, "FROZEN");
    match((await containers.run("create", BOX)).stderr, /container's cgroup unexpectedly frozen/);
    Deno.writeTextFileSync(`${freezer}/own/freezer.state`, "THAWED");
    // A failure later on.
    containers.write(["/bin/nosuch"], { linux: { namespaces, ...path } });
    notEqual((await containers.run("create", BOX)).code, 0);
    Deno.statSync(`${directory}/own`);
    const pid = await running(containers, { pids: { limit: 9 } }, path);
    match(Deno.readTextFileSync(`/proc/${pid}/cgroup`), new RegExp(`pids:${outer}/own\n`));
    equal(limits(pid).pids, "9");
    await containers.output("delete", "--force", BOX);
    deepEqual([...Deno.readDirSync(directory)].filter(({ isDirectory }) => isDirectory), []);
  },
);

containerTest(
  "a relative cgroupsPath lies below the group of who creates, and without one the name is used",
  async () => {
    await using containers = new Containers();
    const own = /:pids:(.*)\n/.exec(Deno.readTextFileSync("/proc/self/cgroup"))![1]!.replace(/^\/$/, "");
    for (const [cgroupsPath, expected] of [["rel/deep", "rel/deep"], ["", BOX]] as const) {
      const pid = await running(containers, {}, { cgroupsPath });
      equal(/:pids:(.*)\n/.exec(Deno.readTextFileSync(`/proc/${pid}/cgroup`))![1], `${own}/${expected}`);
      // In every hierarchy, so that every limit can be changed later.
      equal(
        Deno.readTextFileSync(`/proc/${pid}/cgroup`).trim().split("\n").every((line) =>
          line.endsWith(expected)
        ),
        true,
      );
      await containers.output("delete", "--force", BOX);
    }
  },
);
