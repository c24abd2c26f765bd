import type {
  IdMapping,
  IntelRdt,
  MemoryPolicy,
  Namespace,
  NamespaceType,
} from "../../../../runtime/spec/config.ts";
import { NAMESPACES } from "../../../../runtime/spec/config.ts";
import { type Case, testRules } from "./_rules.ts";
import { type Part, shared } from "./_samples.ts";

const ROOT = { containerID: 0, hostID: 1000, size: 1 };
const RANGES = Array.from({ length: 341 }, (_, at) => ({ containerID: at, hostID: at, size: 1 }));
const mapped = (...more: IdMapping[]): Part => ({
  linux: { uidMappings: [ROOT, ...more], gidMappings: [ROOT] },
});
const joined = (type: NamespaceType, path: string): Namespace[] =>
  NAMESPACES.map((each) => each === type ? { type, path } : { type: each });

testRules([
  [
    "two pid namespaces",
    { linux: { namespaces: [...joined("pid", "/a"), { type: "pid" }] } },
    "/linux/namespaces/8: Cannot have two pid namespaces",
  ],
  ["a namespace by an absolute path", { linux: { namespaces: joined("ipc", "/proc/9/ns/ipc") } }],
  [
    "a namespace by a relative path",
    { linux: { namespaces: joined("ipc", "ns/ipc") } },
    "/linux/namespaces/4/path: Cannot join a ipc namespace: its path is not absolute",
  ],
  ["adjacent ranges of ids", mapped({ containerID: 1, hostID: 1001, size: 4294966294 })],
  ["340 ranges of ids", {
    linux: { uidMappings: RANGES.slice(1), gidMappings: [ROOT] },
    process: { user: { uid: 1, gid: 0 } },
  }],
  [
    "341 ranges of ids",
    { linux: { uidMappings: RANGES, gidMappings: [ROOT] } },
    "/linux/uidMappings: Cannot map ids: there are 341 ranges and the kernel takes 340",
  ],
  [
    "an empty range of ids",
    mapped({ containerID: 1, hostID: 1, size: 0 }),
    "/linux/uidMappings/1/size: Cannot map ids: the range is empty",
  ],
  ["a range that ends with the last id", mapped({ containerID: 4294967294, hostID: 1, size: 1 })],
  [
    "a range beyond the last id inside",
    mapped({ containerID: 4294967295, hostID: 1, size: 1 }),
    "/linux/uidMappings/1: Cannot map ids: the range ends beyond 4294967294",
  ],
  [
    "a range beyond the last id outside",
    mapped({ containerID: 1, hostID: 4294967290, size: 6 }),
    "/linux/uidMappings/1: Cannot map ids: the range ends beyond 4294967294",
  ],
  [
    "ranges that overlap inside",
    mapped({ containerID: 0, hostID: 1, size: 5 }),
    "/linux/uidMappings/1/containerID: Cannot map ids: the range overlaps with another",
  ],
  [
    "ranges that overlap outside",
    mapped({ containerID: 1, hostID: 998, size: 3 }),
    "/linux/uidMappings/0/hostID: Cannot map ids: the range overlaps with another",
  ],
  [
    "overlapping gids",
    { linux: { gidMappings: [ROOT, ROOT] } },
    "/linux/gidMappings/1/containerID: Cannot map ids: the range overlaps with another",
    "/linux/gidMappings/1/hostID: Cannot map ids: the range overlaps with another",
  ],
  [
    "a new user namespace without uids",
    { linux: { uidMappings: [] } },
    "/linux/uidMappings: Cannot make a user namespace: it has no uidMappings",
  ],
  [
    "a new user namespace without gids",
    { linux: { gidMappings: [] } },
    "/linux/gidMappings: Cannot make a user namespace: it has no gidMappings",
  ],
  ["a joined user namespace", {
    linux: { namespaces: joined("user", "/a"), uidMappings: [], gidMappings: [] },
  }],
  ["a joined user namespace with maps", { linux: { namespaces: joined("user", "/a") } }],
  [
    "maps without a user namespace",
    { linux: { namespaces: NAMESPACES.filter((type) => type !== "user").map((type) => ({ type })) } },
    "/linux/uidMappings: Cannot map ids: the user namespace is shared, and a new one is needed",
    "/linux/gidMappings: Cannot map ids: the user namespace is shared, and a new one is needed",
  ],
  ["clocks in a new time namespace", {
    linux: { timeOffsets: { monotonic: { secs: -5n }, boottime: { nanosecs: 999_999_999 } } },
  }],
  ["a clock off by a whole second of nanoseconds", {
    linux: { timeOffsets: { boottime: { nanosecs: 1_000_000_000 } } },
  }, "/linux/timeOffsets/boottime/nanosecs: Cannot shift the boottime clock: a second has fewer nanoseconds"],
  [
    "clocks in a joined time namespace",
    { linux: { namespaces: joined("time", "/a"), timeOffsets: { monotonic: {} } } },
    "/linux/timeOffsets/monotonic: Cannot shift the monotonic clock: the time namespace is joined, and a new one is needed",
  ],
  ["network devices", {
    linux: {
      netDevices: {
        eth0: {},
        eth1: { name: "fifteen-letters" },
        eth2: { name: "v%d" },
        eth3: { name: "v%d" },
      },
    },
  }],
  ["network devices in a joined namespace", {
    linux: { namespaces: joined("network", "/a"), netDevices: { eth0: {} } },
  }],
  ...["sixteen--letters", "a/b", "a b", "a:b", "..", ""].map((name) =>
    [
      `a network device named "${name}"`,
      { linux: { netDevices: { eth0: { name } } } },
      `/linux/netDevices/eth0: Cannot move a network device: "${name}" is no name of an interface`,
    ] as const
  ),
  [
    "a network device of the host named .",
    { linux: { netDevices: { ".": { name: "a" } } } },
    '/linux/netDevices/.: Cannot move a network device: "." is no name of an interface',
  ],
  [
    "two network devices of one name",
    { linux: { netDevices: { eth0: {}, eth1: { name: "eth0" } } } },
    '/linux/netDevices/eth1: Cannot move two network devices to the name "eth0"',
  ],
]);

testRules([
  [
    "maps without a user namespace",
    mapped(),
    "/linux/uidMappings: Cannot map ids: the user namespace is shared, and a new one is needed",
    "/linux/gidMappings: Cannot map ids: the user namespace is shared, and a new one is needed",
  ],
  [
    "unmapped users where nothing can be mapped",
    { ...mapped(), process: { user: { uid: 7, gid: 7 } } },
    "/linux/uidMappings: Cannot map ids: the user namespace is shared, and a new one is needed",
    "/linux/gidMappings: Cannot map ids: the user namespace is shared, and a new one is needed",
  ],
  [
    "clocks without a time namespace",
    { linux: { timeOffsets: { boottime: { secs: 1 } } } },
    "/linux/timeOffsets/boottime: Cannot shift the boottime clock: the time namespace is shared, and a new one is needed",
  ],
  [
    "network devices without a network namespace",
    { linux: { netDevices: { eth0: {} } } },
    "/linux/netDevices: Cannot move a network device: the network namespace is shared",
  ],
  ["no network devices without a network namespace", { linux: { netDevices: {} } }],
], shared);

const policy = (memoryPolicy: MemoryPolicy, field?: string, state?: string): Case => {
  const name = `${memoryPolicy.mode} with nodes "${memoryPolicy.nodes ?? ""}" and flags [${
    memoryPolicy.flags ?? ""
  }]`;
  const issue = `/linux/memoryPolicy/${field}: Cannot use ${memoryPolicy.mode}: ${state}`;
  return [name, { linux: { memoryPolicy } }, ...field ? [issue] : []];
};

testRules([
  policy({ mode: "MPOL_DEFAULT" }),
  policy({ mode: "MPOL_LOCAL" }),
  policy({ mode: "MPOL_PREFERRED" }),
  policy({ mode: "MPOL_PREFERRED", nodes: "1" }),
  policy({ mode: "MPOL_BIND", nodes: "0-3,7", flags: ["MPOL_F_NUMA_BALANCING", "MPOL_F_STATIC_NODES"] }),
  ...(["MPOL_DEFAULT", "MPOL_LOCAL"] as const).map((mode) =>
    policy({ mode, nodes: "0" }, "nodes", "it takes no nodes")
  ),
  ...(["MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED_MANY"] as const).map((
    mode,
  ) => policy({ mode }, "nodes", "it needs nodes")),
  policy({ mode: "MPOL_BIND", nodes: "2-1" }, "nodes", '"2-1" is no list such as "0-3,7"'),
  policy({ mode: "MPOL_BIND", nodes: "all" }, "nodes", '"all" is no list such as "0-3,7"'),
  policy(
    { mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"] },
    "flags",
    "nodes are either static or relative",
  ),
  policy(
    { mode: "MPOL_INTERLEAVE", nodes: "0", flags: ["MPOL_F_NUMA_BALANCING"] },
    "flags",
    "MPOL_F_NUMA_BALANCING is for MPOL_BIND and MPOL_PREFERRED_MANY",
  ),
  ["a personality", { linux: { personality: { domain: "LINUX32", flags: [] } } }],
  [
    "personality flags",
    { linux: { personality: { domain: "LINUX", flags: ["ADDR_NO_RANDOMIZE"] } } },
    "/linux/personality/flags: Cannot set personality flags: the specification has none",
  ],
]);

const rdt = (name: string, intelRdt: IntelRdt, ...issues: string[]): Case => [
  name,
  { linux: { intelRdt } },
  ...issues.map((issue) => `/linux/intelRdt/${issue}`),
];
const CLOS = "closID: Cannot use a class of service: its name is no directory";

testRules([
  rdt("a class of service", {
    closID: "group",
    l3CacheSchema: "L3:0=f",
    memBwSchema: "MB:0=20",
    schemata: ["L2:0=f"],
  }),
  rdt("the default class of service", { closID: "/" }),
  ...["a/b", "/a", ".", "..", "", "a\nb"].map((closID) =>
    rdt(`a class of service named ${JSON.stringify(closID)}`, { closID }, CLOS)
  ),
  rdt(
    "a cache schema of two lines",
    { l3CacheSchema: "L3:0=f\nMB:0=1" },
    "l3CacheSchema: Cannot write a schema: it is more than one line",
  ),
  rdt(
    "a bandwidth schema of two lines",
    { memBwSchema: "MB:0=1\n" },
    "memBwSchema: Cannot write a schema: it is more than one line",
  ),
  rdt(
    "a bandwidth schema of something else",
    { memBwSchema: "L3:0=1" },
    'memBwSchema: Cannot write a schema: it does not start with "MB:"',
  ),
  rdt(
    "schemata of two lines",
    { schemata: ["L3:0=f", "L3:1=f\n"] },
    "schemata/1: Cannot write a schema: it is more than one line",
  ),
]);

const sysctl = (key: string, state?: string, namespaces?: Namespace[]): Case => {
  const pointer = `/linux/sysctl/${key.replaceAll("/", "~1")}`;
  const issues = state ? [`${pointer}: Cannot set "${key}": ${state}`] : [];
  return [`sysctl ${key}${namespaces ? " there" : ""}`, {
    linux: { sysctl: { [key]: "1" }, ...namespaces && { namespaces } },
  }, ...issues];
};
const IPC = ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"].map((it) =>
  `kernel.${it}`
);
const MALFORMED = "it is no name of a kernel parameter";

testRules([
  ...[
    ...IPC,
    "fs.mqueue.msg_max",
    "fs/mqueue/msg_max",
    "net.ipv4.ip_forward",
    "net/ipv4/conf/eth0.100/forwarding",
    "kernel.domainname",
  ].map((key) => sysctl(key)),
  sysctl("net.core.somaxconn", undefined, joined("network", "/run/netns/a")),
  ...["/proc/1/ns/net", "/proc/self/ns/net", "/proc//thread-self/ns/net", "/proc/1/task/1/ns/net"].map((
    path,
  ) => sysctl("net.core.somaxconn", "the network namespace is the host's", joined("network", path))),
  ...[
    "kernel.core_pattern",
    "vm.overcommit_memory",
    "fs.file-max",
    "fs.mqueue",
    "user.max_user_namespaces",
    "kernel/sysrq",
    "netx.a",
  ].map((key) => sysctl(key, "it belongs to the whole host")),
  ...[
    "net.ipv4..ip_forward",
    "net/../kernel/sysrq",
    "/net/ipv4",
    ".net.a",
    "net.a.",
    "net",
    "net.a b",
    "net./.a",
    "../net.a",
  ].map((key) => sysctl(key, MALFORMED)),
  sysctl("kernel.hostname", "that is what hostname is for"),
]);

testRules([
  ...[...IPC, "fs.mqueue.msg_max"].map((key) => sysctl(key, "the ipc namespace is shared")),
  sysctl("net.ipv4.ip_forward", "the network namespace is shared"),
  sysctl("kernel.domainname", "the uts namespace is shared"),
], shared);
