import type {
  Device,
  Resources,
  Seccomp,
  SeccompAction,
  SeccompRule,
} from "../../../../runtime/spec/config.ts";
import { type Case, testRules } from "./_rules.ts";

const device = (name: string, given: Partial<Device>, ...issues: string[]): Case => [
  name,
  { linux: { devices: [{ type: "c", path: "/dev/a", major: 1, minor: 3, ...given }] } },
  ...issues.map((issue) => `/linux/devices/0/${issue}`),
];
const MINOR = "its minor number is above 1048575 or below 0";
const MAJOR = "its major number is above 4095 or below 0";

testRules([
  device("a device with the last numbers", { major: 4095, minor: 1048575 }),
  ["a fifo without numbers", { linux: { devices: [{ type: "p", path: "/dev/a" }] } }],
  [
    "a block device without numbers",
    { linux: { devices: [{ type: "b", path: "/dev/a" }] } },
    "/linux/devices/0/major: Cannot make a device: it has no major number",
    "/linux/devices/0/minor: Cannot make a device: it has no minor number",
  ],
  ["an unbuffered device without a minor number", {
    linux: { devices: [{ type: "u", path: "/dev/a", major: 1 }] },
  }, "/linux/devices/0/minor: Cannot make a device: it has no minor number"],
  device("a major number above 12 bits", { major: 4096 }, `major: Cannot make a device: ${MAJOR}`),
  device("a negative major number", { major: -1 }, `major: Cannot make a device: ${MAJOR}`),
  device("a minor number above 20 bits", { minor: 2n ** 60n }, `minor: Cannot make a device: ${MINOR}`),
  device(
    "a device by a relative path",
    { path: "dev/a" },
    "path: Cannot make a device: its path is not absolute",
  ),
  device(
    "a device that climbs",
    { path: "/dev/../a" },
    'path: Cannot make a device: its path climbs with ".."',
  ),
  [
    "two devices of one path",
    { linux: { devices: [{ type: "p", path: "/a" }, { type: "p", path: "/a" }] } },
    "/linux/devices/1/path: Cannot make a device: another device has its path",
  ],
  ["a cgroup", { linux: { cgroupsPath: "system.slice:runc:a..b" } }],
  [
    "a cgroup that climbs",
    { linux: { cgroupsPath: "/a/../b" } },
    '/linux/cgroupsPath: Cannot use the cgroup: its path climbs with ".."',
  ],
]);

const limited = (name: string, resources: Resources, ...issues: string[]): Case => [
  name,
  { linux: { resources } },
  ...issues.map((issue) => `/linux/resources/${issue}`),
];
const BELOW = "a limit below -1 means nothing";
const WEIGHT = "Cannot weigh block I/O: a weight goes from 10 to 1000";
const UNIFIED = 'it is no cgroup file such as "memory.high"';

testRules([
  limited("device rules", {
    devices: [{ allow: true, major: -1n, minor: -1 }, { allow: false, type: "b", major: 8, minor: 0 }],
  }),
  limited(
    "a device rule with a major number above 12 bits",
    { devices: [{ allow: true, major: 4096 }] },
    "devices/0/major: Cannot write a device rule: its major number is above 4095 or below 0",
  ),
  limited(
    "a device rule with a minor number of -2",
    { devices: [{ allow: true, minor: -2 }] },
    "devices/0/minor: Cannot write a device rule: its minor number is above 1048575 or below 0",
  ),
  limited("no limits of memory", {
    memory: { limit: -1, reservation: -1, swap: -1, kernel: -1, kernelTCP: -1, swappiness: 100 },
  }),
  ...(["limit", "reservation", "swap", "kernel", "kernelTCP"] as const).map((field) =>
    limited(
      `memory.${field} of -2`,
      { memory: { [field]: -2 } },
      `memory/${field}: Cannot limit memory: ${BELOW}`,
    )
  ),
  limited("swap of 0, which leaves it alone", { memory: { limit: 5, swap: 0 } }),
  limited("a burst with a quota of 0, which leaves it alone", { cpu: { quota: 0, burst: 5 } }),
  limited("a list of one CPU as a range", { cpu: { cpus: "3-3" } }),
  limited("swap equal to memory", { memory: { limit: 5, swap: 5n } }),
  limited(
    "swap below memory",
    { memory: { limit: 5, swap: 4 } },
    "memory/swap: Cannot limit memory: memory and swap together are below memory alone",
  ),
  limited(
    "swappiness of 101",
    { memory: { swappiness: 101 } },
    "memory/swappiness: Cannot limit memory: swappiness goes from 0 to 100",
  ),
  limited("CPU time", { cpu: { quota: 1000, burst: 1000, idle: 1, cpus: "0-3,7", mems: "" } }),
  limited("a burst without a quota", { cpu: { quota: -1, burst: 1000 } }),
  limited(
    "a quota of -2",
    { cpu: { quota: -2 } },
    "cpu/quota: Cannot limit CPU time: a quota below -1 means nothing",
  ),
  limited(
    "a burst above the quota",
    { cpu: { quota: 1000, burst: 1001 } },
    "cpu/burst: Cannot limit CPU time: burst is above quota",
  ),
  ...[2, -1].map((idle) =>
    limited(`idle of ${idle}`, { cpu: { idle } }, "cpu/idle: Cannot limit CPU time: idle is 0 or 1")
  ),
  ...(["cpus", "mems"] as const).map((field) =>
    limited(
      `${field} upside down`,
      { cpu: { [field]: "3-0" } },
      `cpu/${field}: Cannot limit CPU time: "3-0" is no list such as "0-3,7"`,
    )
  ),
  ...[-1, 0, 1n].map((limit) => limited(`pids.limit of ${limit}`, { pids: { limit } })),
  limited("pids.limit of -2", { pids: { limit: -2 } }, `pids/limit: Cannot limit tasks: ${BELOW}`),
  limited("block weights", {
    blockIO: { weight: 0, leafWeight: 1000, weightDevice: [{ major: 8, minor: 0, weight: 10 }] },
  }),
  limited("a block weight of 9", { blockIO: { weight: 9 } }, `blockIO/weight: ${WEIGHT}`),
  limited("a block weight of 1001", { blockIO: { leafWeight: 1001 } }, `blockIO/leafWeight: ${WEIGHT}`),
  limited(
    "a device's block weight of 9",
    { blockIO: { weightDevice: [{ major: 8, minor: 0, weight: 9 }] } },
    `blockIO/weightDevice/0/weight: ${WEIGHT}`,
  ),
  limited(
    "a device without block weights",
    { blockIO: { weightDevice: [{ major: 8, minor: 0 }] } },
    "blockIO/weightDevice/0: Cannot weigh a block device: it has neither weight nor leafWeight",
  ),
  limited("priorities", { network: { priorities: [{ name: "eth0", priority: 1 }] } }),
  limited(
    "a priority of no interface",
    { network: { priorities: [{ name: "a/b", priority: 1 }] } },
    'network/priorities/0/name: Cannot prioritize traffic: "a/b" is no name of an interface',
  ),
  limited("an RDMA limit", { rdma: { mlx5_1: { hcaHandles: 0 }, mlx5_2: { hcaObjects: 0 } } }),
  limited(
    "an RDMA device without limits",
    { rdma: { mlx5_1: {} } },
    "rdma/mlx5_1: Cannot limit an RDMA device: it has neither hcaHandles nor hcaObjects",
  ),
  limited(
    "an RDMA device of two words",
    { rdma: { "a b": { hcaHandles: 1 } } },
    "rdma/a b: Cannot limit an RDMA device: it has no proper name",
  ),
  limited("cgroup files", { unified: { "memory.high": "1", "hugetlb.1GB.max": "1", "io.bfq.weight": "1" } }),
  ...["memory", "../a.b", ".high", "a/b.c", "memory..high", "a.b\n"].map((file) =>
    limited(
      `the cgroup file ${JSON.stringify(file)}`,
      { unified: { [file]: "1" } },
      `unified/${file.replaceAll("/", "~1")}: Cannot write ${JSON.stringify(file)}: ${UNIFIED}`,
    )
  ),
]);

const filtered = (name: string, seccomp: Partial<Seccomp>, ...issues: string[]): Case => [
  name,
  { linux: { seccomp: { defaultAction: "SCMP_ACT_ALLOW", ...seccomp } } },
  ...issues.map((issue) => `/linux/seccomp/${issue}`),
];
const ruled = (name: string, rule: Partial<SeccompRule>, ...issues: string[]): Case =>
  filtered(
    name,
    { listenerPath: "/run/a", syscalls: [{ names: ["read"], action: "SCMP_ACT_LOG", ...rule }] },
    ...issues.map((issue) => `syscalls/0/${issue}`),
  );
const NOTIFY: readonly SeccompRule[] = [{ names: ["mknod"], action: "SCMP_ACT_NOTIFY" }];
const compared = (index: number): Partial<SeccompRule> => ({
  args: [{ index, value: 2n ** 64n - 1n, op: "SCMP_CMP_EQ" }],
});
const WITHOUT: readonly SeccompAction[] = [
  "SCMP_ACT_KILL",
  "SCMP_ACT_KILL_PROCESS",
  "SCMP_ACT_KILL_THREAD",
  "SCMP_ACT_TRAP",
  "SCMP_ACT_ALLOW",
  "SCMP_ACT_LOG",
  "SCMP_ACT_NOTIFY",
];

testRules([
  filtered("a filter", { defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 4095 }),
  filtered(
    "a filter that notifies by default",
    { defaultAction: "SCMP_ACT_NOTIFY" },
    "defaultAction: Cannot filter system calls: SCMP_ACT_NOTIFY is no default",
  ),
  filtered(
    "a default errno without use",
    { defaultErrnoRet: 1 },
    "defaultErrnoRet: Cannot return an errno: SCMP_ACT_ALLOW has none",
  ),
  filtered(
    "a default errno of 4096",
    { defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 4096 },
    "defaultErrnoRet: Cannot return 4096: SCMP_ACT_ERRNO takes at most 4095",
  ),
  ruled("an errno", { action: "SCMP_ACT_ERRNO", errnoRet: 38 }),
  ruled("an errno for a tracer", { action: "SCMP_ACT_TRACE", errnoRet: 65535 }),
  ruled(
    "an errno of 17 bits for a tracer",
    { action: "SCMP_ACT_TRACE", errnoRet: 65536 },
    "errnoRet: Cannot return 65536: SCMP_ACT_TRACE takes at most 65535",
  ),
  ...WITHOUT.map((action) =>
    ruled(
      `an errno for ${action}`,
      { action, errnoRet: 1 },
      `errnoRet: Cannot return an errno: ${action} has none`,
    )
  ),
  ruled("argument 5", compared(5)),
  ruled(
    "argument 6",
    compared(6),
    "args/0/index: Cannot compare an argument of a system call: index goes from 0 to 5",
  ),
  ruled("no names", { names: [] }, "names: Cannot filter system calls: none is named"),
  ruled(
    "an empty name",
    { names: ["read", ""] },
    'names/1: Cannot filter "": it is no name of a system call',
  ),
  ruled(
    "a name with a space",
    { names: ["read "] },
    'names/0: Cannot filter "read ": it is no name of a system call',
  ),
  ruled(
    "notification of write",
    { action: "SCMP_ACT_NOTIFY", names: ["mknod", "write"] },
    "names/1: Cannot notify of write: SCMP_ACT_NOTIFY cannot be used for the write syscall: the agent is not there when the first one comes",
  ),
  filtered("notification", { syscalls: NOTIFY, listenerPath: "/run/a", listenerMetadata: "b" }),
  filtered(
    "notification without a listener",
    { syscalls: NOTIFY },
    "listenerPath: Cannot notify an agent: there is no listenerPath",
  ),
  filtered(
    "notification of a relative listener",
    { syscalls: NOTIFY, listenerPath: "a" },
    "listenerPath: Cannot notify an agent: listenerPath is not absolute",
  ),
  filtered("a listener without use, as the specification wants", { listenerPath: "a" }),
  filtered(
    "metadata without a listener",
    { listenerMetadata: "a" },
    "listenerMetadata: Cannot pass metadata to an agent: there is no listenerPath",
  ),
]);
