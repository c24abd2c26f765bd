import { equal, match, ok } from "node:assert/strict";
import type { Resources } from "../../runtime/spec/config.ts";
import { groupValue } from "../helpers/container_groups.ts";
import { containerTest } from "../helpers/container_test.ts";
import { BOX, Containers } from "../helpers/containers.ts";

const [NUMBERS, AT] = [device(), "/linux/resources"];
const DEVICE = `${NUMBERS.major}:${NUMBERS.minor}`;
const rated = { ...NUMBERS, rate: 1 << 20 };
const weighed = (part: { weight: number } | { leafWeight: number }): Resources => ({
  blockIO: { weightDevice: [{ ...NUMBERS, ...part }] },
});

/** A limit, the files of version 1 that have it, of which a kernel has one or none, and what they say then. */
type Case = readonly [
  pointer: string,
  asked: Resources,
  files: readonly string[],
  says: string,
  /** What a kernel with the file may say: another scheduler has the device, the group above has no real time. */
  errno?: string,
];

const CASES: readonly Case[] = [
  ["cpu/mems", { cpu: { mems: "0" } }, ["cpuset.mems"], "0"],
  [
    "cpu/burst",
    { cpu: { quota: 50_000, period: 100_000, burst: 20_000 } },
    ["cpu.cfs_burst_us"],
    "20000",
  ],
  ["cpu/realtimePeriod", { cpu: { realtimePeriod: 900_000 } }, ["cpu.rt_period_us"], "900000"],
  ["cpu/realtimeRuntime", { cpu: { realtimeRuntime: 5_000 } }, ["cpu.rt_runtime_us"], "5000", "EINVAL"],
  ["memory/reservation", { memory: { reservation: 1 << 24 } }, ["memory.soft_limit_in_bytes"], "16777216"],
  ["memory/swappiness", { memory: { swappiness: 7 } }, ["memory.swappiness"], "7"],
  [
    "memory/disableOOMKiller",
    { memory: { disableOOMKiller: true } },
    ["memory.oom_control"],
    "oom_kill_disable 1\nunder_oom 0\noom_kill 0",
  ],
  ["memory/useHierarchy", { memory: { useHierarchy: true } }, ["memory.use_hierarchy"], "1"],
  ["blockIO/weight", { blockIO: { weight: 300 } }, ["blkio.weight", "blkio.bfq.weight"], "300"],
  ["blockIO/leafWeight", { blockIO: { leafWeight: 300 } }, ["blkio.leaf_weight"], "300"],
  [
    "blockIO/weightDevice/0/weight",
    weighed({ weight: 300 }),
    ["blkio.weight_device", "blkio.bfq.weight_device"],
    `${DEVICE} 300`,
    "EOPNOTSUPP",
  ],
  [
    "blockIO/weightDevice/0/leafWeight",
    weighed({ leafWeight: 300 }),
    ["blkio.leaf_weight_device"],
    `${DEVICE} 300`,
  ],
  ...(["Read", "Write"] as const).flatMap((way) =>
    (["Bps", "IOPS"] as const).map((unit): Case => [
      `blockIO/throttle${way}${unit}Device/0`,
      { blockIO: { [`throttle${way}${unit}Device`]: [rated] } },
      [`blkio.throttle.${way.toLowerCase()}_${unit.toLowerCase()}_device`],
      `${DEVICE} 1048576`,
    ])
  ),
  ["network/classID", { network: { classID: 1048577 } }, ["net_cls.classid"], "1048577"],
  [
    "network/priorities/0",
    { network: { priorities: [{ name: "lo", priority: 5 }] } },
    ["net_prio.ifpriomap"],
    "lo 5",
  ],
];

containerTest(
  "each limit of config.json is in the container's groups, or refused by its name where the kernel has none",
  async () => {
    await using containers = new Containers();
    const run = async (resources: Resources): Promise<{ pid: number; stderr: string }> => {
      const namespaces = (["pid", "mount", "uts"] as const).map((type) => ({ type }));
      containers.write(["/bin/sleep", "300"], { linux: { namespaces, resources } });
      const { code, stderr } = await containers.run("run", "--detach", BOX);
      const pid = code === 0 ? JSON.parse(await containers.output("state", BOX)).pid : 0;
      return { pid, stderr };
    };
    const plain = await run({});
    equal(plain.stderr, "");
    const known = CASES.map(([, , files]) => files.some((file) => groupValue(plain.pid, file) !== undefined));
    await containers.output("delete", "--force", BOX);
    let applied = 0;
    for (const [index, [pointer, asked, files, says, errno]] of CASES.entries()) {
      const { pid, stderr } = await run(asked);
      if (errno !== undefined && stderr.includes(errno)) {
        match(stderr, new RegExp(`Cannot apply ${AT}/${pointer}: write "${says}" to .*: ${errno}`));
      } else if (known[index]) {
        equal(stderr, "", pointer);
        equal(groupValue(pid, ...files), says, pointer);
        applied++;
      } else match(stderr, new RegExp(`${AT}/${pointer}.*: (this kernel|no|the) `), pointer);
      await containers.run("delete", "--force", BOX);
    }
    ok(applied > 5);
  },
);

containerTest("update sets burst, real time and memory nodes by flags", async () => {
  await using containers = new Containers();
  await containers.output("run", "--detach", BOX);
  const { pid } = JSON.parse(await containers.output("state", BOX));
  const set = async (file: string, says: string, ...flags: readonly string[]): Promise<void> => {
    const { code, stderr } = await containers.run("update", ...flags, BOX);
    if (groupValue(pid, file) === undefined) {
      equal(code, 1);
      return match(stderr, new RegExp(`Cannot apply ${AT}/cpu/.*: `));
    }
    // A group above without real time has none to give.
    if (file === "cpu.rt_runtime_us" && code === 1) return match(stderr, /realtimeRuntime: write .*EINVAL/);
    equal(stderr, "");
    equal(groupValue(pid, file), says);
  };
  await set(
    "cpu.cfs_burst_us",
    "20000",
    "--cpu-quota",
    "50000",
    "--cpu-period=100000",
    "--cpu-burst",
    "20000",
  );
  await set("cpuset.mems", "0", "--cpuset-mems", "0");
  match((await containers.run("update", "--cpuset-mems", "999", BOX)).stderr, /cpu\/mems: write "999" to/);
  await set("cpu.rt_period_us", "900000", "--cpu-rt-period", "900000");
  await set("cpu.rt_runtime_us", "5000", "--cpu-rt-runtime", "5000");
});

/** A block device that is there. */
function device(): { readonly major: number; readonly minor: number } {
  const [line = ""] = Deno.readTextFileSync("/proc/partitions").trim().split("\n").slice(2);
  const [major, minor] = line.trim().split(/\s+/).map(Number);
  return { major: major!, minor: minor! };
}
