import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { Sandbox } from "../../mod.ts";
import { CgroupGroup } from "../../runtime/cgroup/group.ts";
import { UnsupportedError } from "../../runtime/errors.ts";
import { probeHost } from "../../runtime/host/probe.ts";
import type { DeviceRule, Resources } from "../../runtime/spec/linux.ts";
import { TestBundle } from "../helpers/launch_bundle.ts";
import { disk } from "../helpers/limit_flags.ts";
import { ended, HOST, run, start, until } from "../unit/runtime/cgroup/groups.ts";

const { numbers } = disk()!;
const [major, minor] = numbers.split(":").map(Number) as [number, number];
const DEVICE = { major, minor };
let count = 0;

function path(): string {
  return `/ai-sandbox-v2-${Deno.pid}/${count++}`;
}

function read(group: CgroupGroup, file: string): string {
  return Deno.readTextFileSync(`${group.directories[0]}/${file}`).trim();
}

const TABLE: readonly (readonly [string, Resources, Readonly<Record<string, string>>])[] = [
  [
    "cpu",
    { cpu: { shares: 1024, quota: 30_000, period: 60_000, burst: 10_000 } },
    { "cpu.weight": "100", "cpu.max": "30000 60000", "cpu.max.burst": "10000" },
  ],
  ["an idle cpu", { cpu: { idle: 1 } }, { "cpu.idle": "1" }],
  ["cpuset", { cpu: { cpus: "1", mems: "0" } }, { "cpuset.cpus": "1", "cpuset.mems": "0" }],
  [
    "memory",
    { memory: { limit: 1 << 28, swap: 3 << 27, reservation: 1 << 26 }, unified: { "memory.high": "200M" } },
    {
      "memory.max": String(1 << 28),
      "memory.swap.max": String(1 << 27),
      "memory.low": String(1 << 26),
      "memory.high": String(200 << 20),
    },
  ],
  ["memory without end", { memory: { limit: -1, swap: -1 } }, {
    "memory.max": "max",
    "memory.swap.max": "max",
  }],
  ["pids", { pids: { limit: 17 } }, { "pids.max": "17" }],
  [
    "io",
    {
      blockIO: {
        weight: 500,
        throttleReadBpsDevice: [{ ...DEVICE, rate: 1 << 20 }],
        throttleWriteIOPSDevice: [{ ...DEVICE, rate: 50 }],
      },
    },
    { "io.weight": "default 4950", "io.max": `${numbers} rbps=1048576 wbps=max riops=max wiops=50` },
  ],
  ["hugetlb", { hugepageLimits: [{ pageSize: "2MB", limit: 1 << 22 }] }, {
    "hugetlb.2MB.max": String(1 << 22),
    "hugetlb.2MB.rsvd.max": String(1 << 22),
  }],
  [
    "unified",
    { unified: { "memory.oom.group": "1", "cgroup.max.descendants": "3", "pids.max": "5" } },
    { "memory.oom.group": "1", "cgroup.max.descendants": "3", "pids.max": "5" },
  ],
];

for (const [name, resources, files] of TABLE) {
  Deno.test(`cgroup v2 takes ${name}`, async () => {
    await using group = await CgroupGroup.create(path(), resources, HOST);
    for (const [file, value] of Object.entries(files)) equal(read(group, file), value, file);
    equal((await run(group, "true")).code, 0);
  });
}

Deno.test("cgroup v2 is asked for an RDMA device, and says that there is none", async () => {
  const where = path();
  await rejects(CgroupGroup.create(where, { rdma: { mlx5_1: { hcaHandles: 3 } } }, HOST), {
    message:
      /Cannot apply \/linux\/resources\/rdma\/mlx5_1: write "mlx5_1 hca_handle=3" to "[^"]+rdma.max": ENODEV/,
  });
  deepEqual(CgroupGroup.open(where, HOST).directories, []);
});

Deno.test("io.max keeps a reader at its rate", async () => {
  const blockIO = { throttleReadBpsDevice: [{ ...DEVICE, rate: 4 << 20 }] };
  await using group = await CgroupGroup.create(path(), { blockIO }, HOST);
  const from = performance.now();
  const { path: device } = disk()!;
  equal((await run(group, `dd if=${device} of=/dev/null bs=1M count=12 iflag=direct status=none`)).code, 0);
  const seconds = (performance.now() - from) / 1000;
  const { ioReadBytes } = group.stats();
  console.log(`${ioReadBytes} bytes in ${seconds.toFixed(2)} s`);
  ok(ioReadBytes! >= 12 << 20 && ioReadBytes! < 14 << 20); // and what it takes to start dd
  ok(seconds > 2.4, `12 MiB in ${seconds} s at 4 MiB/s`);
});

Deno.test("init is born into its group, and is there before it does anything", async () => {
  const id = `born-${Deno.pid}`;
  await using sandbox = await Sandbox.create({ id, command: ["true"], pids: 7 });
  const own = probeHost().cgroups[0]!.own;
  equal(
    Deno.readTextFileSync(`/proc/${sandbox.pid}/cgroup`).trim(),
    `0::${own === "/" ? "" : own}/ai-sandbox-${id}`,
  );
  sandbox.start();
  deepEqual((await sandbox.wait()).exit, { kind: "code", code: 0 });
  // Whoever is moved passes a limit of processes, and whoever is born does not.
  const above = path();
  await using _full = await CgroupGroup.create(above, { pids: { limit: 0 } }, HOST);
  using bundle = new TestBundle();
  bundle.write("true", { linux: { cgroupsPath: `${above}/full`, resources: { pids: { limit: 5 } } } });
  await rejects(Sandbox.run({ bundle: bundle.path }), /clone3\): EAGAIN; [^\n]*pids\.max/);
});

Deno.test("the program sees its own group as the root, and no other process", async () => {
  await using sandbox = await Sandbox.run({
    command: ["cat", "/proc/self/cgroup", "/proc/1/cgroup"],
    pids: 7,
  });
  equal(await new Response(sandbox.stdout).text(), "0::/\n0::/\n");
});

Deno.test("groups within groups have their controllers, and processes lie in the lowest only", async () => {
  const above = path();
  const limits: Resources = { pids: { limit: 50 }, memory: { limit: 1 << 28 }, cpu: { quota: 90_000 } };
  await using outer = await CgroupGroup.create(above, limits, HOST);
  await using inner = await CgroupGroup.create(`${above}/a/b`, { ...limits, pids: { limit: 5 } }, HOST);
  const child = start(inner, "sleep 600 & wait");
  await until("both run", () => inner.stats().pidsCurrent === 2);
  equal(outer.stats().pidsCurrent, 2);
  match(read(outer, "cgroup.subtree_control"), /cpu.*memory.*pids/);
  equal(read(outer, "cgroup.procs"), "");
  equal(read(inner, "pids.max"), "5");
  // A group with processes cannot pass controllers on.
  await rejects(CgroupGroup.create(`${above}/a/b/c`, limits, HOST), (error: Error) => {
    return error instanceof UnsupportedError && /has processes of its own/.test(error.message);
  });
  await outer.kill();
  equal((await ended(child)).code, 137);
});

const [ZERO, FULL, KMSG] = ["/dev/zero", "/dev/full", "/dev/kmsg"];
const DENY_ALL: DeviceRule = { allow: false, access: "rwm" };
const KMSG_NUMBERS = { type: "c", major: 1, minor: 11 } as const;

for (
  const [name, devices, allowed, denied] of [
    ["the usual ones alone", [DENY_ALL], [`: <${ZERO}`, `: >${FULL}`, "mknod /dev/x c 1 11"], [
      `: <${KMSG}`,
      `: <${disk()!.path}`,
    ]],
    ["one to be read", [DENY_ALL, { allow: true, ...KMSG_NUMBERS, access: "r" }], [`: <${KMSG}`], [
      `: >${KMSG}`,
    ]],
    [
      "a whole major number",
      [DENY_ALL, { allow: true, type: "c", major: 1, access: "rw" }],
      [`: <>${KMSG}`],
      [
        `: <${disk()!.path}`,
      ],
    ],
    ["one number taken out of what is open", [{ allow: true }, {
      allow: false,
      ...KMSG_NUMBERS,
      access: "w",
    }], [
      `: <${KMSG}`,
      `: <${disk()!.path}`,
    ], [`: >${KMSG}`]],
  ] as readonly (readonly [string, readonly DeviceRule[], readonly string[], readonly string[]])[]
) {
  Deno.test(`device rules of cgroup v2 allow ${name}`, async () => {
    await using group = await CgroupGroup.create(path(), { devices }, HOST);
    try {
      for (const each of allowed) equal((await run(group, each)).text, "", each);
      for (const each of denied) match((await run(group, each)).text, /Operation not permitted/, each);
    } finally {
      await Deno.remove("/dev/x").catch(() => {});
    }
  });
}

Deno.test("a program with CAP_MKNOD opens no device that its bundle denies", async () => {
  // The group of a bundle without any limit, for its rules alone.
  const spec = {
    ociVersion: "1.3.0",
    root: { path: "rootfs" },
    process: {
      cwd: "/",
      args: ["sh", "-c", `mknod /tmp/disk b ${major} ${minor} && : </tmp/disk`],
      env: ["PATH=/bin:/usr/bin"],
      capabilities: { bounding: ["CAP_MKNOD"], effective: ["CAP_MKNOD"], permitted: ["CAP_MKNOD"] },
    },
    mounts: [
      { destination: "/usr", source: "/usr", options: ["bind", "ro"] },
      { destination: "/tmp", type: "tmpfs", options: ["dev"] },
    ],
    linux: {
      namespaces: ["pid", "mount"].map((type) => ({ type })),
      resources: { devices: [DENY_ALL] },
    },
  };
  const directory = Deno.makeTempDirSync();
  try {
    Deno.mkdirSync(`${directory}/rootfs`);
    for (const name of ["bin", "lib", "lib64"]) {
      Deno.symlinkSync(`usr/${name}`, `${directory}/rootfs/${name}`);
    }
    const run = async (rules: readonly DeviceRule[]): Promise<string> => {
      const linux = { ...spec.linux, resources: { devices: rules } };
      Deno.writeTextFileSync(`${directory}/config.json`, JSON.stringify({ ...spec, linux }));
      await using sandbox = await Sandbox.run({ bundle: directory });
      return await new Response(sandbox.stderr).text();
    };
    match(await run([DENY_ALL]), /disk: Operation not permitted/);
    equal(await run([{ allow: true, access: "rwm" }]), ""); // it is the rules that shut it
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("the record tells of memory, processes and CPU time that were refused", async () => {
  const script = "(i=0; while [ $i -lt 12 ]; do sleep 3 & i=$((i+1)); done) 2>/dev/null; while :; do :; done";
  const options = { command: ["sh", "-c", script], cpus: 0.2, pids: 6, timeoutMs: 4_000 };
  await using sandbox = await Sandbox.run(options);
  const { events, exit } = await sandbox.wait();
  deepEqual(exit, { kind: "limit", limit: "time" });
  ok(events!.pidsLimitHits! >= 1 && events!.cpuThrottledMs! > 500, JSON.stringify(events));
  ok(events!.pressure!.cpu.someMs > 100, JSON.stringify(events));
  equal(events!.oomKills, 0);
});
