import { deepEqual } from "node:assert/strict";
import {
  type Manager,
  numberMask,
  resourceProperties,
  scopeProperties,
} from "../../../../runtime/systemd/properties.ts";
import type { Resources } from "../../../../runtime/spec/linux.ts";

const INFINITY = "18446744073709551615";
const [V1, V2] = [{ version: 1, release: 252 }, { version: 2, release: 252 }] as const;

function text(resources: Resources, manager: Manager): string[] {
  return resourceProperties(resources, manager).map(([name, [type, value]]) => `${name} ${type} ${value}`);
}

for (
  const [resources, v1, v2] of [
    [{}, [], []],
    [{ memory: { limit: 0 }, pids: { limit: 0 }, cpu: { shares: 0, cpus: "" } }, [], []],
    [
      { memory: { limit: 100, reservation: 50, swap: 150 } },
      ["MemoryLimit t 100"],
      ["MemoryMax t 100", "MemoryLow t 50", "MemorySwapMax t 50"],
    ],
    [{ memory: { limit: -1, swap: -1 } }, [`MemoryLimit t ${INFINITY}`], [
      `MemoryMax t ${INFINITY}`,
      `MemorySwapMax t ${INFINITY}`,
    ]],
    [{ pids: { limit: -1 } }, [`TasksMax t ${INFINITY}`], [`TasksMax t ${INFINITY}`]],
    [{ cpu: { shares: 1024 } }, ["CPUShares t 1024"], ["CPUWeight t 100"]],
    [{ cpu: { shares: 1024, idle: 1 } }, ["CPUShares t 1024"], ["CPUWeight t 0"]],
    // 333,330 µs are 33.333 %: systemd knows 34.
    [{ cpu: { quota: 33_333 } }, ["CPUQuotaPerSecUSec t 340000"], ["CPUQuotaPerSecUSec t 340000"]],
    [{ cpu: { quota: -1, period: 50_000 } }, [
      "CPUQuotaPeriodUSec t 50000",
      `CPUQuotaPerSecUSec t ${INFINITY}`,
    ], ["CPUQuotaPeriodUSec t 50000", `CPUQuotaPerSecUSec t ${INFINITY}`]],
    [{ cpu: { cpus: "0-2,9", mems: "0" } }, [], ["AllowedCPUs ay 7,2", "AllowedMemoryNodes ay 1"]],
    [{ blockIO: { weight: 500 } }, ["BlockIOWeight t 500"], []],
    [
      { unified: { "memory.high": "5", "cpu.max": "max 70000", "cpuset.cpus": "1", "hugetlb.2MB.max": "1" } },
      [],
      [
        "MemoryHigh t 5",
        "CPUQuotaPeriodUSec t 70000",
        `CPUQuotaPerSecUSec t ${INFINITY}`,
        "AllowedCPUs ay 2",
      ],
    ],
  ] as readonly (readonly [Resources, string[], string[]])[]
) {
  Deno.test(`resourceProperties() says ${JSON.stringify(resources)} in systemd's words`, () => {
    deepEqual([text(resources, V1), text(resources, V2)], [v1, v2]);
  });
}

Deno.test("resourceProperties() leaves out what an old systemd does not know", () => {
  const cpu = { cpus: "0", idle: 1, quota: 50_000, period: 100_000 };
  deepEqual(text({ cpu }, { version: 2, release: 239 }), ["CPUQuotaPerSecUSec t 500000"]);
});

Deno.test("numberMask() sets a bit for each number", () => {
  deepEqual([numberMask("0"), numberMask("8"), numberMask("1-3, 17")], [[1], [0, 1], [14, 0, 2]]);
});

Deno.test("scopeProperties() has the place, the process, the accounts and the devices", () => {
  const devices = "Character devices:\n  1 mem\n136 pts\n\nBlock devices:\n  8 sd\n";
  const rules = [{ allow: true, type: "b", major: 8, access: "r" }, {
    allow: false,
    type: "c",
    major: 9,
  }] as const;
  const found = scopeProperties(
    { id: "one", slice: "a.slice", isSlice: false, pid: 7 },
    { devices: rules },
    { ...V2, devices },
  );
  const one = Object.fromEntries(found);
  deepEqual([one.Slice, one.Delegate, one.PIDs, one.IOAccounting], [
    ["s", "a.slice"],
    ["b", true],
    ["au", [7]],
    ["b", true],
  ]);
  deepEqual(one.DevicePolicy, ["s", "strict"]);
  const [, allowed] = one.DeviceAllow! as unknown as [string, [string, string][]];
  deepEqual(allowed.slice(0, 3), [["block-sd", "r"], ["char-*", "m"], ["block-*", "m"]]);
  deepEqual(allowed.find(([name]) => name === "char-pts"), ["char-pts", "rwm"]);
  const all = Object.fromEntries(scopeProperties(
    { id: "one", slice: "a.slice", isSlice: true, pid: 0 },
    { devices: [{ allow: true }] },
    { ...V1, devices },
  ));
  deepEqual([all.Wants, all.PIDs, all.DevicePolicy, all.BlockIOAccounting], [
    ["as", ["a.slice"]],
    undefined,
    ["s", "auto"],
    ["b", true],
  ]);
});
