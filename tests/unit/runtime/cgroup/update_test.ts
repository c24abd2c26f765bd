import { deepEqual, equal, throws } from "node:assert/strict";
import { planUpdate } from "../../../../runtime/cgroup/update.ts";
import type { Hierarchy } from "../../../../runtime/cgroup/files.ts";
import type { DeviceRule, Resources } from "../../../../runtime/spec/linux.ts";

const V1 = ["cpu", "cpuset", "memory", "pids", "blkio", "devices"].map((controllers): Hierarchy => (
  { version: 1, controllers, mountPoint: `/${controllers}`, own: "/" }
));
const V2: readonly Hierarchy[] = [
  { version: 2, controllers: "cpuset,cpu,io,memory,pids", mountPoint: "/v2", own: "/" },
];

function lines(asked: Resources, kept: Resources, mounted: readonly Hierarchy[]): string[] {
  return planUpdate(asked, kept, mounted).writes.map(({ file, value }) => `${file}=${value}`);
}

for (
  const [name, asked, kept, v1, v2] of [
    [
      "what is 0 or empty",
      {
        cpu: { shares: 0, quota: 0, cpus: "" },
        memory: { limit: 0, swap: 0 },
        pids: { limit: 0 },
        blockIO: { weight: 0, weightDevice: [] },
      },
      { pids: { limit: 5 } },
      [],
      [],
    ],
    ["0 where that is a value", { cpu: { burst: 0, idle: 0, cpus: "0" } }, {}, [
      "cpu.cfs_burst_us=0",
      "cpu.idle=0",
      "cpuset.cpus=0",
    ], ["cpu.max.burst=0", "cpu.idle=0", "cpuset.cpus=0"]],
    [
      "a quota without its period",
      { cpu: { quota: 5000 } },
      { cpu: { period: 50_000, shares: 7 } },
      ["cpu.cfs_period_us=50000", "cpu.cfs_quota_us=5000"],
      ["cpu.max=5000 50000"],
    ],
    [
      "swap without memory",
      { memory: { swap: 300 } },
      { memory: { limit: 200, swap: 200 } },
      ["memory.limit_in_bytes=200", "memory.memsw.limit_in_bytes=300"],
      ["memory.swap.max=100", "memory.max=200"],
    ],
    ["memory alone", { memory: { limit: 100 } }, { memory: { limit: 200, swap: 300 } }, [
      "memory.limit_in_bytes=100",
      "memory.memsw.limit_in_bytes=300",
    ], ["memory.swap.max=200", "memory.max=100"]],
    ["memory alone, whatever is swapped", { memory: { limit: 400 } }, { memory: { limit: 200, swap: -1 } }, [
      "memory.limit_in_bytes=400",
      "memory.memsw.limit_in_bytes=-1",
    ], ["memory.swap.max=max", "memory.max=400"]],
    [
      "no limit of memory where both had one",
      { memory: { limit: -1 } },
      { memory: { limit: 200, swap: 300 } },
      ["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1"],
      ["memory.swap.max=max", "memory.max=max"],
    ],
  ] as readonly [string, Resources, Resources, string[], string[]][]
) {
  Deno.test(`planUpdate() writes ${name}`, () => {
    deepEqual(lines(asked, kept, V1), v1);
    deepEqual(lines(asked, kept, V2), v2);
  });
}

Deno.test("planUpdate() keeps what it does not change, each device and size once", () => {
  const rate = (minor: number, rate: number): { major: number; minor: number; rate: number } => (
    { major: 8, minor, rate }
  );
  const { resources } = planUpdate(
    {
      cpu: { shares: 5 },
      memory: { limit: 7, checkBeforeUpdate: true },
      blockIO: { throttleReadBpsDevice: [rate(1, 20)] },
      pids: { limit: -1 },
    },
    {
      cpu: { cpus: "0", shares: 9 },
      memory: { limit: 5, reservation: 3 },
      blockIO: { weight: 100, throttleReadBpsDevice: [rate(0, 1), rate(1, 2)] },
      unified: { "cpu.weight": "3" },
    },
    [...V1, ...V2],
  );
  deepEqual(resources, {
    cpu: { cpus: "0", shares: 5 },
    memory: { limit: 7, reservation: 3 },
    blockIO: { weight: 100, throttleReadBpsDevice: [rate(0, 1), rate(1, 20)] },
    unified: { "cpu.weight": "3" },
    pids: { limit: -1 },
  });
});

const DENY_ALL: DeviceRule = { allow: false, access: "rwm" };
function one(minor: number, access: string, allow = true): DeviceRule {
  return { allow, type: "c", major: 10, minor, access };
}

for (
  const [name, before, now, expected] of [
    ["the same rules", [DENY_ALL, one(1, "rw")], [DENY_ALL, one(1, "rw")], undefined],
    ["rules that mean the same", [DENY_ALL], [{ allow: false, type: "a", access: "rwm" }], undefined],
    ["one device more", [DENY_ALL, one(1, "rw")], [DENY_ALL, one(1, "rw"), one(2, "r")], ["allow c 10:2 r"]],
    ["other rights", [DENY_ALL, one(1, "rw")], [DENY_ALL, one(1, "rm")], ["allow c 10:1 m", "deny c 10:1 w"]],
    ["one device less", [DENY_ALL, one(1, "rw")], [DENY_ALL], ["deny c 10:1 rw"]],
  ] as readonly [string, DeviceRule[], DeviceRule[], string[] | undefined][]
) {
  Deno.test(`planUpdate() denies nobody what both rules allow: ${name}`, () => {
    const { devices } = planUpdate({ devices: now }, { devices: before }, V1);
    const written = devices?.now.writes.map(({ file, value }) => `${file.split(".")[1]} ${value}`);
    deepEqual(written, expected);
  });
}

Deno.test("planUpdate() writes all device rules where everything else was allowed", () => {
  const { devices } = planUpdate({ devices: [DENY_ALL] }, { devices: [{ allow: true }] }, V1);
  equal(devices?.now.writes[0]?.value, "a");
  deepEqual(devices?.before.writes.map(({ file, value }) => `${file} ${value}`), [
    "devices.deny a",
    "devices.allow a",
  ]);
});

Deno.test("planUpdate() refuses more memory than memory and swap have together", () => {
  for (const mounted of [V1, V2]) {
    throws(() => planUpdate({ memory: { limit: 400 } }, { memory: { limit: 200, swap: 300 } }, mounted), {
      name: "UnsupportedError",
      feature: "/linux/resources/memory/swap",
    });
  }
});

Deno.test("planUpdate() names what no hierarchy can limit", () => {
  throws(() => planUpdate({ pids: { limit: 4 } }, {}, V1.slice(0, 2)), {
    name: "UnsupportedError",
    feature: "/linux/resources/pids/limit",
  });
});
