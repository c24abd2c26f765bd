import { deepEqual, equal, match, notEqual } from "node:assert/strict";
import { AS_STRANGER, cli, RUNTIME, STRANGER } from "../helpers/cli.ts";
import { BOX, Containers } from "../helpers/containers.ts";
import { containerTest } from "../helpers/container_test.ts";
import { groupFile, groupValue } from "../helpers/container_groups.ts";
import { MOUNTS } from "../helpers/launch_bundle.ts";
import { StrangersHome, strangersLinux } from "../helpers/strangers_home.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { waitUntil } from "../helpers/eventually.ts";
import type { Resources, Spec } from "../../runtime/spec/config.ts";
import { containerEvents, containerStats, updateContainer } from "../../mod.ts";
import { reactor } from "../../runtime/launch/reactor.ts";

const MB = 2 ** 20;
// What waits for everything in this process is there before the tests.
reactor.after(1, () => {})[Symbol.dispose]();
const namespaces = (["pid", "network", "ipc", "uts", "mount"] as const).map((type) => ({ type }));

async function running(
  containers: Containers,
  resources: Resources,
  more: Spec["linux"] = {},
): Promise<number> {
  containers.write(containers.args, { linux: { namespaces, resources, ...more } });
  await containers.output("run", "--detach", BOX);
  return JSON.parse(await containers.output("state", BOX)).pid;
}

containerTest(
  "create and exec enter the cgroup namespace that a container shares with another, and its user namespace",
  async () => {
    match(Deno.readTextFileSync("/proc/self/mountinfo"), / - cgroup2 \S+ \S*nsdelegate/); // it is what makes it hard
    await using first = new Containers();
    const own = [...namespaces, { type: "cgroup" as const }];
    const pid = await running(first, {}, { namespaces: own });
    const isIn = async (containers: Containers): Promise<string> =>
      await containers.output("exec", containers.id, "cat", "/proc/self/cgroup");
    equal(await isIn(first), "0::/\n");
    equal(await isIn(first), "0::/\n"); // by what was kept of the first one
    // Once the group hands memory on to those below, only they have processes.
    const group = `/sys/fs/cgroup/${BOX}`;
    Deno.mkdirSync(`${group}/below`);
    Deno.writeTextFileSync(`${group}/below/cgroup.procs`, String(pid));
    Deno.writeTextFileSync(`${group}/cgroup.subtree_control`, "+memory");
    equal(await isIn(first), "0::/below\n");
    Deno.writeTextFileSync(`${group}/pids.max`, "1"); // as many as there are
    equal(await isIn(first), "0::/below\n");
    Deno.writeTextFileSync(`${group}/pids.max`, "max");
    match(
      (await first.run("exec", "--cgroup", "/", BOX, "true")).stderr,
      new RegExp(`error adding pid 0 to cgroups: .* ${group}/cgroup\\.procs: device or resource busy\n`),
    );
    await using second = new Containers(undefined, `${BOX}-second`);
    const path = `/proc/${pid}/ns/cgroup`;
    second.write(second.args, { linux: { namespaces: [...namespaces, { type: "cgroup", path }] } });
    await second.output("run", "--detach", second.id);
    equal(await isIn(second), `0::/../${second.id}\n`);
    const { pid: other } = JSON.parse(await second.output("state", second.id));
    equal(Deno.readLinkSync(`/proc/${other}/ns/cgroup`), Deno.readLinkSync(path));
    await second.output("delete", "--force", second.id);
    const mappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
    const users = { uidMappings: mappings, gidMappings: mappings };
    second.write(second.args, { linux: { namespaces: [...own, { type: "user" }], ...users } });
    await second.output("run", "--detach", second.id);
    equal(await isIn(second), "0::/\n");
    await using third = new Containers(undefined, `${BOX}-third`);
    const { pid: owner } = JSON.parse(await second.output("state", second.id));
    const shared = (["user", "cgroup"] as const).map((type) => ({ type, path: `/proc/${owner}/ns/${type}` }));
    third.write(third.args, { linux: { namespaces: [...namespaces, ...shared] } });
    await third.output("run", "--detach", third.id);
    equal(await isIn(third), `0::/../${third.id}\n`);
    const { pid: joined } = JSON.parse(await third.output("state", third.id));
    for (const { type, path } of shared) {
      equal(Deno.readLinkSync(`/proc/${joined}/ns/${type}`), Deno.readLinkSync(path));
    }
  },
);

containerTest(
  "a container with users of its own has limits above the hard ones of who makes it",
  async () => {
    const wrapper = ["prlimit", "--nofile=100:2000", "--nproc=500:1000", "--core=unlimited"];
    await using containers = new Containers([...wrapper, ...RUNTIME]);
    const mappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
    const rlimits = [
      { type: "RLIMIT_NOFILE", soft: 3000, hard: 5000 },
      { type: "RLIMIT_NPROC", soft: 4000, hard: 6000 },
      { type: "RLIMIT_CORE", soft: 0, hard: 7 },
    ] as const;
    containers.write([], {
      process: { ...starterSpec().process!, args: ["/bin/sleep", "300"], terminal: false, rlimits },
      linux: { namespaces: [...namespaces, { type: "user" }], uidMappings: mappings, gidMappings: mappings },
    });
    await containers.output("run", "--detach", BOX);
    for (const file of ["/proc/1/limits", "/proc/self/limits"]) {
      const text = await containers.output("exec", BOX, "cat", file);
      match(text, /^Max open files +3000 +5000 /m);
      match(text, /^Max processes +4000 +6000 /m);
      match(text, /^Max core file size +0 +7 /m);
    }
  },
);

containerTest(
  "a container with a limit of no processes begins, and nothing in it can begin another",
  async () => {
    await using containers = new Containers();
    containers.write(["/bin/sh", "-c", "true & exec sleep 300"], {
      linux: { namespaces, resources: { pids: { limit: 0 } } },
    });
    const { code, stdout } = await containers.run("run", BOX);
    deepEqual([code, stdout], [2, ""]); // the shell could not fork
    const pid = await running(containers, { pids: { limit: 0 } });
    deepEqual([groupValue(pid, "pids.max"), groupFile(pid, "pids.current")?.includes(BOX)], ["0", true]);
    // One that is to look into it is moved there.
    equal(await containers.output("exec", BOX, "cat", "/proc/self/cgroup"), `0::/${BOX}\n`);
    equal((await containers.run("exec", BOX, "sh", "-c", "true & true")).code, 2);
  },
);

containerTest("update sets all limits of version 2, or none", async () => {
  await using containers = new Containers();
  const pid = await running(containers, { memory: { limit: 64 * MB }, cpu: { shares: 1024 } });
  const store = { root: containers.root };
  const limits = (): (string | undefined)[] => {
    const files = [
      "memory.max",
      "memory.swap.max",
      "memory.low",
      "pids.max",
      "cpu.max",
      "cpu.weight",
      "cpuset.cpus",
    ];
    return files.map((file) => groupValue(pid, file));
  };
  deepEqual(limits(), [String(64 * MB), "max", "0", "max", "max 100000", "100", ""]);
  const flags = [
    "--memory",
    "128m",
    "--memory-swap",
    "192m",
    "--memory-reservation",
    "32m",
    "--cpuset-cpus",
    "0",
  ];
  await containers.output(
    "update",
    ...flags,
    "--pids-limit",
    "20",
    "--cpu-quota",
    "40000",
    "--cpu-share",
    "2",
    BOX,
  );
  const changed = [String(128 * MB), String(64 * MB), String(32 * MB), "20", "40000 100000", "1", "0"];
  deepEqual(limits(), changed);
  // Memory and swap together stay at 192 MiB.
  await updateContainer(BOX, { memory: { limit: 160 * MB } }, store);
  deepEqual(limits().slice(0, 2), [String(160 * MB), String(32 * MB)]);
  await updateContainer(BOX, { memory: { limit: 128 * MB } }, store);
  deepEqual(limits(), changed);
  await updateContainer(
    BOX,
    { cpu: { period: 50_000 }, unified: { "memory.high": String(100 * MB) } },
    store,
  );
  deepEqual([groupValue(pid, "cpu.max"), groupValue(pid, "memory.high")], ["40000 50000", String(100 * MB)]);
  await updateContainer(BOX, { cpu: { period: 100_000 } }, store);
  for (
    const [resources, message] of [
      [{ memory: { limit: 4096, checkBeforeUpdate: true } }, /rejecting memory limit 4096/],
      [{ memory: { limit: 4096, swap: 8192, checkBeforeUpdate: true } }, /rejecting memory\+swap limit 8192/],
      [{ memory: { limit: 200 * MB } }, /memory and swap together are below memory alone/],
      [{ pids: { limit: 9 }, cpu: { cpus: "77" } }, /"77" to .*cpuset\.cpus/],
    ] as const
  ) {
    const failed = await updateContainer(BOX, resources, store).then(() => "", (error) => error.message);
    match(failed, message);
    deepEqual(limits(), changed);
  }
  await updateContainer(BOX, { memory: { limit: -1 } }, store);
  deepEqual(limits().slice(0, 2), ["max", "max"]);
});

containerTest("device rules of version 2 hold without CAP_MKNOD too, and update changes them", async () => {
  await using containers = new Containers();
  const [major = 0, minor = 0] = Deno.readTextFileSync("/sys/block/vda/dev").trim().split(":").map(Number);
  const read = (path: string): string => `dd if=${path} of=/dev/null bs=512 count=1 2>/why`;
  const script = `while :; do ${read("/dev/disk")} && echo ok >/said || cp /why /said; ` +
    `${read("/dev/zero")} || echo bad >/bad; sleep 0.1; done`;
  containers.args = ["/bin/sh", "-c", script];
  const devices = [{ type: "b", path: "/dev/disk", major, minor, fileMode: 0o666 }] as const;
  await running(containers, { devices: [{ allow: false, access: "rwm" }] }, { devices });
  const said = (): string => {
    try {
      return Deno.readTextFileSync(`${containers.bundle.rootfs}/said`);
    } catch {
      return "";
    }
  };
  await waitUntil(() => said().includes("not permitted"));
  const rules = [{ allow: false, access: "rwm" }, {
    allow: true,
    type: "b",
    major,
    minor,
    access: "r",
  }] as const;
  for (const [now, expected] of [[rules, "ok"], [[rules[0]], "not permitted"], [rules, "ok"]] as const) {
    await updateContainer(BOX, { devices: now }, { root: containers.root });
    await waitUntil(() => said().includes(expected));
  }
  equal([...Deno.readDirSync(containers.bundle.rootfs)].some(({ name }) => name === "bad"), false);
});

containerTest("events tells of want of memory by memory.events, and ends with the container", async () => {
  await using containers = new Containers();
  containers.args = [
    "/bin/sh",
    "-c",
    "while [ ! -e /go ]; do sleep 0.1; done; dd if=/dev/zero of=/dev/null bs=200M count=1; exit 3",
  ];
  await running(containers, { memory: { limit: 32 * MB, swap: 32 * MB }, pids: { limit: 20 } });
  const store = { root: containers.root };
  const { cpu, memory, pids } = containerStats(BOX, store);
  deepEqual([memory.usage.limit, pids.limit, typeof cpu.psi?.some?.total], [32 * MB, 20, "number"]);
  notEqual(memory.raw?.anon, undefined);
  const types: string[] = [];
  for await (const { type } of containerEvents(BOX, { ...store, intervalMs: 300 })) {
    if (types.length === 0) Deno.writeTextFileSync(`${containers.bundle.rootfs}/go`, "");
    types.push(type);
  }
  equal(types.filter((type) => type === "oom").length, 1);
  equal(types[0], "stats");
});

containerTest("a group of version 2 that is there is used if it is empty and not frozen", async () => {
  await using containers = new Containers();
  const directory = `/sys/fs/cgroup/there-${Deno.pid}`;
  Deno.mkdirSync(directory);
  const path = { cgroupsPath: `/there-${Deno.pid}` };
  Deno.writeTextFileSync(`${directory}/cgroup.freeze`, "1");
  containers.write(["/bin/sleep", "300"], { linux: { namespaces, ...path } });
  match((await containers.run("create", BOX)).stderr, /container's cgroup unexpectedly frozen/);
  Deno.writeTextFileSync(`${directory}/cgroup.freeze`, "0");
  const pid = await running(containers, { pids: { limit: 9 } }, path);
  deepEqual([groupFile(pid, "pids.max"), groupValue(pid, "pids.max")], [`${directory}/pids.max`, "9"]);
  match((await containers.run("create", `${BOX}-2`)).stderr, /container's cgroup is not empty: 1 process/);
  equal(await containers.status(BOX), "running");
  await containers.output("delete", "--force", BOX);
  equal([...Deno.readDirSync("/sys/fs/cgroup")].some(({ name }) => name.startsWith("there-")), false);
});

containerTest(
  "a user without rights has containers in a delegated group, with everything that takes one",
  async () => {
    await using containers = new Containers();
    const outer = `/sys/fs/cgroup/delegated-${Deno.pid}`;
    Deno.writeTextFileSync("/sys/fs/cgroup/cgroup.subtree_control", "+cpu +memory +pids");
    Deno.mkdirSync(outer);
    using own = new StrangersHome(containers.bundle.path);
    const files = ["", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"].map((each) =>
      outer + each
    );
    for (const each of files) Deno.chownSync(each, STRANGER, STRANGER);
    containers.write(["/bin/sleep", "300"], { linux: strangersLinux(), mounts: MOUNTS } as Partial<Spec>);
    // The first command moves what is in the group to one below, to make room for the container's.
    const join =
      `cd ${outer}/ai-sandbox-callers 2>/dev/null || cd ${outer}; echo $$ >cgroup.procs && cd "$OLDPWD" && ` +
      `exec "$@" </dev/null >${own.path}/out 2>${own.path}/err`;
    const user = [...AS_STRANGER, "env", `XDG_RUNTIME_DIR=${own.path}`, `DENO_DIR=${own.cache}`];
    const wrapper = ["sh", "-c", join, "sh", ...user];
    const run = async (...args: readonly string[]): Promise<string> => {
      const { code } = await cli(args, { wrapper, cwd: containers.bundle.path });
      equal(code, 0, `${args.join(" ")}: ${Deno.readTextFileSync(`${own.path}/err`)}`);
      return Deno.readTextFileSync(`${own.path}/out`);
    };
    await run("run", "--detach", BOX);
    const { pid } = JSON.parse(await run("state", BOX));
    deepEqual(JSON.parse(await run("ps", "--format", "json", BOX)), [pid]);
    equal(groupValue(pid, "pids.max"), "20");
    await run("update", "--pids-limit", "7", "--memory", "64m", BOX);
    deepEqual([groupValue(pid, "pids.max"), groupValue(pid, "memory.max")], ["7", String(64 * MB)]);
    equal(JSON.parse(await run("events", "--stats", BOX)).data.pids.limit, 7);
    await run("pause", BOX);
    equal(JSON.parse(await run("state", BOX)).status, "paused");
    await run("resume", BOX);
    await run("delete", "--force", BOX);
    for (const each of [`${outer}/ai-sandbox-callers`, outer]) Deno.removeSync(each);
  },
);
