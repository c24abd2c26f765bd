import { type Ask, count, firstOptions, mounts, spec } from "./ask.ts";

/** What is asked of the machine: cgroups, devices, kernel parameters, and the rest of `linux`. */
export const KERNEL_ASKS: readonly Ask[] = [
  {
    rule: "groupIsNotChosen",
    says: "somebody's cgroup",
    spec: spec({}, { cgroupsPath: "/system.slice/sshd.service" }),
    cuts: ["/linux/cgroupsPath: /system.slice/sshd.service → one of its own"],
    left: [({ linux }) => linux!.cgroupsPath, undefined],
  },
  ...([
    ["filesAreNotNamed", "unified", { unified: { "memory.max": "max" } }, "unified: memory.max → nothing"],
    [
      "devicesAreNotOpened",
      "devices",
      { devices: [{ allow: false, access: "rwm" }, { allow: true, type: "b", access: "rwm" }] },
      'devices/1: {"allow":true,"type":"b","access":"rwm"} → nothing',
    ],
    ["trafficIsNotMarked", "network", { network: { classID: 1 } }, 'network: {"classID":1} → nothing'],
  ] as const).map(([rule, field, resources, cut]): Ask => ({
    rule,
    says: `resources.${field}`,
    spec: spec({}, { resources }),
    cuts: [`/linux/resources/${cut}`],
    left: [({ linux }) => linux!.resources, {}],
  })),
  {
    rule: "memoryIsBounded",
    says: "more memory than the caller gives, and no OOM killer",
    spec: spec({}, { resources: { memory: { limit: 2 ** 40, swap: -1, disableOOMKiller: true } } }),
    cuts: [
      "/linux/resources/memory/disableOOMKiller: true → nothing",
      "/linux/resources/memory/limit: 1099511627776 → 1000",
      "/linux/resources/memory/swap: -1 → 1000",
    ],
    left: [({ linux }) => linux!.resources!.memory, { limit: 1000, swap: 1000 }],
  },
  {
    rule: "timeIsBounded",
    says: "more time than others",
    spec: spec({}, {
      resources: {
        cpu: { shares: 262_144, quota: 300_000, realtimeRuntime: 950_000, realtimePeriod: 1_000_000 },
      },
    }),
    cuts: [
      "/linux/resources/cpu/realtimeRuntime: 950000 → nothing",
      "/linux/resources/cpu/shares: 262144 → 1024",
      "/linux/resources/cpu/quota: 300000 → 200000",
    ],
    left: [({ linux }) => linux!.resources!.cpu, { shares: 1024, quota: 200_000 }],
  },
  {
    rule: "tasksAreBounded",
    says: "tasks without end",
    spec: spec({}, { resources: { pids: { limit: -1 } } }),
    cuts: ["/linux/resources/pids/limit: -1 → 20"],
    left: [({ linux }) => linux!.resources!.pids, { limit: 20 }],
  },
  {
    rule: "disksAreShared",
    says: "weight on the disks",
    spec: spec({}, { resources: { blockIO: { weight: 1000, throttleReadBpsDevice: [] } } }),
    cuts: ["/linux/resources/blockIO/weight: 1000 → nothing"],
    left: [({ linux }) => linux!.resources!.blockIO, { throttleReadBpsDevice: [] }],
  },
  {
    rule: "onlyOwnGroupsAreSeen",
    says: "the cgroups of the caller",
    spec: mounts({ destination: "/sys/fs/cgroup", type: "cgroup" }),
    cuts: ["/mounts/0: /sys/fs/cgroup → nothing"],
    left: [count, 0],
  },
  {
    rule: "onlyOwnGroupsAreSeen",
    says: "the cgroups of the caller in hierarchies where it has none",
    spec: mounts({ destination: "/sys/fs/cgroup", type: "cgroup" }),
    facts: { oneHierarchy: false },
    cuts: ["/mounts/0: /sys/fs/cgroup → nothing"],
    left: [count, 0],
  },
  {
    rule: "kernelFilesAreReadOnly",
    says: "its own cgroup, writable",
    spec: mounts({ destination: "/sys/fs/cgroup", type: "cgroup", options: ["rw"] }),
    cuts: ["/mounts/0/options: rw → ro"],
    left: [firstOptions, ["ro", "nosuid", "nodev", "noexec"]],
  },
  {
    rule: "devicesAreTheUsual",
    says: "the host's disk",
    spec: spec({}, { devices: [{ type: "b", path: "/dev/vda", major: 254, minor: 0 }] }),
    cuts: ["/linux/devices/0: /dev/vda → nothing"],
    left: [({ linux }) => linux!.devices, undefined],
  },
  {
    rule: "networkDevicesStay",
    says: "the host's network card",
    spec: spec({}, { netDevices: { eth0: {} } }),
    cuts: ["/linux/netDevices/eth0: eth0 → nothing"],
    left: [({ linux }) => linux!.netDevices, undefined],
  },
  {
    rule: "parametersAreFew",
    says: "kernel parameters",
    spec: spec({}, {
      sysctl: {
        "net.core.bpf_jit_enable": "0",
        "net/ipv4/tcp_syncookies": "1",
        "net.ipv4/tcp_syncookies": "1",
      },
    }),
    cuts: [
      "/linux/sysctl/net.core.bpf_jit_enable: 0 → nothing",
      "/linux/sysctl/net.ipv4~1tcp_syncookies: 1 → nothing",
    ],
    left: [({ linux }) => Object.keys(linux!.sysctl!), ["net/ipv4/tcp_syncookies"]],
  },
  {
    rule: "secretsAreMasked",
    says: "no masks, and thousands of its own",
    spec: spec({}, { maskedPaths: Array.from({ length: 2000 }, (_, at) => `/m/${at}`) }),
    cuts: ["/linux/maskedPaths: 2000 paths of its own → 1024 of them"],
    left: [
      ({ linux }) => [linux!.maskedPaths!.includes("/proc/kcore"), linux!.maskedPaths!.includes("/m/1024")],
      [
        true,
        false,
      ],
    ],
  },
  {
    rule: "switchesAreReadOnly",
    says: "a writable /proc/sys",
    spec: spec({}, { readonlyPaths: [] }),
    cuts: [],
    left: [({ linux }) => linux!.readonlyPaths!.includes("/proc/sys"), true],
  },
  {
    rule: "mountsDoNotSpread",
    says: "a root that spreads its mounts",
    spec: spec({}, { rootfsPropagation: "rshared" }),
    cuts: ["/linux/rootfsPropagation: rshared → nothing"],
    left: [({ linux }) => linux!.rootfsPropagation, undefined],
  },
  {
    rule: "restGoes",
    says: "labels, caches, memory nodes, another personality",
    spec: spec({}, {
      mountLabel: "x",
      intelRdt: { closID: "/" },
      memoryPolicy: { mode: "MPOL_LOCAL" },
      personality: { domain: "LINUX32" },
    }),
    cuts: [
      "/linux/mountLabel: x → nothing",
      '/linux/intelRdt: {"closID":"/"} → nothing',
      '/linux/memoryPolicy: {"mode":"MPOL_LOCAL"} → nothing',
      '/linux/personality: {"domain":"LINUX32"} → nothing',
    ],
    left: [({ linux }) => Object.keys(linux!).filter((key) => /Label|Rdt|Policy|personality/.test(key)), []],
  },
];
