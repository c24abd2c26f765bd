import type { Linux, Mount, Process, Spec } from "../../../../runtime/spec/config.ts";
import type { Facts, Source } from "../../../../runtime/untrusted/facts.ts";

/** What a bundle asks for that one rule cuts, and what is left of it. */
export interface Ask {
  readonly rule: string;
  readonly says: string;
  readonly spec: Spec;
  /** What lies at the sources of its mounts. */
  readonly sources?: readonly (Source | undefined)[];
  readonly facts?: Partial<Facts>;
  /** Each cut as `pointer: asked → given`. */
  readonly cuts: readonly string[];
  readonly refusals?: readonly string[];
  /** The part of the spec that is looked at, and what it must be. */
  readonly left?: readonly [look: (spec: Spec) => unknown, left: unknown];
}

const NAMESPACES = ["pid", "ipc", "mount", "network", "uts", "cgroup"] as const;

export function spec(part: Partial<Spec> = {}, linux: Linux = {}): Spec {
  const namespaces = NAMESPACES.map((type) => ({ type }));
  return { ociVersion: "1.3.0", root: { path: "rootfs" }, ...part, linux: { namespaces, ...linux } };
}

function process(part: Partial<Process>): Spec {
  return spec({ process: { cwd: "/", args: ["true"], ...part } });
}

function mounts(...all: Mount[]): Spec {
  return spec({ mounts: all });
}

function bind(source: string, ...options: string[]): Mount {
  return { destination: "/x", type: "bind", source, options: ["bind", ...options] };
}

function directory(real: string): Source {
  return { real, kind: "directory", inode: 2 };
}

const firstOptions = ({ mounts }: Spec): unknown => mounts?.[0]?.options;
const count = ({ mounts = [] }: Spec): number => mounts.length;
const tmpfs = (...options: string[]): Mount => ({ destination: "/x", type: "tmpfs", options });
const MIB = 1 << 20;

export const ASKS: readonly Ask[] = [
  {
    rule: "rootLiesInTheBundle",
    says: "an absolute root",
    spec: spec({ root: { path: "/" } }),
    cuts: [],
    refusals: ["/root/path"],
  },
  {
    rule: "rootLiesInTheBundle",
    says: "a root that climbs",
    spec: spec({ root: { path: "rootfs/../.." } }),
    cuts: [],
    refusals: ["/root/path"],
  },
  {
    rule: "rootLiesInTheBundle",
    says: "a root behind a link",
    spec: spec({ root: { path: "rootfs" } }),
    facts: { root: directory("/etc") },
    cuts: [],
    refusals: ["/root/path"],
  },
  {
    rule: "rootLiesInTheBundle",
    says: "a root that is a file",
    spec: spec(),
    facts: { root: { real: "/b/rootfs", kind: "file", inode: 3 } },
    cuts: [],
    refusals: ["/root/path"],
  },
  {
    rule: "rootLiesInTheBundle",
    says: "a root that is not there",
    spec: spec(),
    facts: { root: undefined },
    cuts: [],
    refusals: ["/root/path"],
  },
  {
    rule: "hooksGo",
    says: "hooks",
    spec: spec({ hooks: { poststop: [{ path: "/bin/sh" }, { path: "/bin/rm" }] } }),
    cuts: ["/hooks/poststop: /bin/sh, /bin/rm → nothing"],
    left: [({ hooks }) => hooks, undefined],
  },
  {
    rule: "ownAnnotationsGo",
    says: "annotations that steer the runtime",
    spec: spec({ annotations: { "dev.ai-sandbox.overlay": "none", maintainer: "me" } }),
    cuts: ["/annotations/dev.ai-sandbox.overlay: none → nothing"],
    left: [({ annotations }) => Object.entries(annotations!), [["maintainer", "me"]]],
  },
  {
    rule: "namespacesAreNew",
    says: "a namespace to join",
    spec: spec({}, {
      namespaces: NAMESPACES.map((type) => type === "network" ? { type, path: "/proc/1/ns/net" } : { type }),
    }),
    cuts: ["/linux/namespaces/3/path: /proc/1/ns/net → a new one"],
    left: [({ linux }) => linux!.namespaces![3], { type: "network" }],
  },
  {
    rule: "noNamespaceIsShared",
    says: "the host's namespaces",
    spec: spec({}, { namespaces: [{ type: "mount" }] }),
    cuts: ["pid", "ipc", "network", "uts"].map((type) =>
      `/linux/namespaces: the host's ${type} namespace → a new one`
    ),
    left: [
      ({ linux }) => linux!.namespaces!.map(({ type }) => type).sort().join(),
      "cgroup,ipc,mount,network,pid,uts",
    ],
  },
  {
    rule: "usersAreNotChosen",
    says: "the users of the host",
    spec: spec({}, {
      namespaces: [...NAMESPACES, "user" as const].map((type) => ({ type })),
      uidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
      gidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
    }),
    cuts: ["uid", "gid"].map((what) =>
      `/linux/${what}Mappings: [{"containerID":0,"hostID":0,"size":1}] → users that are nobody else`
    ),
    left: [({ linux }) => [linux!.uidMappings, linux!.gidMappings, linux!.namespaces!.length], [
      undefined,
      undefined,
      6,
    ]],
  },
  {
    rule: "usersAreFew",
    says: "users beyond a range",
    spec: process({ user: { uid: 65_536, gid: 0, additionalGids: [5, 70_000] } }),
    cuts: [],
    refusals: ["/process/user/uid", "/process/user/additionalGids/1"],
  },
  {
    rule: "mountsAreFew",
    says: "too many mounts",
    spec: spec({ mounts: Array.from({ length: 300 }, () => ({ destination: "/m", type: "mqueue" })) }),
    cuts: ["/mounts/256: 300 mounts → the first 256"],
    left: [count, 256],
  },
  {
    rule: "placesAreShallow",
    says: "a place below a thousand directories",
    spec: mounts({ destination: "/d".repeat(1000), type: "tmpfs" }),
    cuts: [`/mounts/0/destination: ${"/d".repeat(40)}… → nothing`],
    left: [count, 0],
  },
  {
    rule: "remountsGo",
    says: "other options for what is mounted",
    spec: mounts({ destination: "/proc", type: "none", options: ["bind", "remount", "rw"] }),
    cuts: ["/mounts/0/options: remount → nothing"],
    left: [count, 0],
  },
  {
    rule: "idsOfMountsAreNotChosen",
    says: "files as another user of the host",
    spec: mounts({
      ...bind("data", "ro", "idmap"),
      uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
      gidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
    }),
    sources: [directory("/b/data")],
    cuts: [
      '/mounts/0/uidMappings: [{"containerID":0,"hostID":1000,"size":1}] → nothing',
      '/mounts/0/gidMappings: [{"containerID":0,"hostID":1000,"size":1}] → nothing',
      "/mounts/0/options: idmap → nothing",
    ],
    left: [({ mounts }) => [mounts![0]!.uidMappings, mounts![0]!.gidMappings], [undefined, undefined]],
  },
  {
    rule: "sharedMountsGo",
    says: "a mount that spreads",
    spec: mounts(bind("data", "ro", "rshared")),
    sources: [directory("/b/data")],
    cuts: ["/mounts/0/options: rshared → nothing"],
    left: [firstOptions, ["bind", "rro", "rnosuid", "rnodev"]],
  },
  ...["overlay", "ext4", "fuse", "nfs", "bpf", "debugfs", "securityfs", "devtmpfs", "ramfs", "none"].map(
    (type): Ask => ({
      rule: "fileSystemsAreKnown",
      says: `file system ${type}`,
      spec: mounts({ destination: "/x", type, source: "/dev/vda", options: ["lowerdir=/etc"] }),
      cuts: [`/mounts/0/type: ${type} → nothing`],
      left: [count, 0],
    }),
  ),
  {
    rule: "fileSystemsAreKnown",
    says: "a bind that calls itself cgroup",
    spec: mounts({ destination: "/sys/fs/cgroup", type: "cgroup", source: "/etc", options: ["rbind"] }),
    cuts: ["/mounts/0/type: cgroup → nothing"],
    left: [count, 0],
  },
  {
    rule: "kernelFilesStayInPlace",
    says: "a second proc, without masks",
    spec: mounts({ destination: "//proc/./", type: "proc" }, { destination: "/p", type: "proc" }, {
      destination: "proc",
      type: "proc",
    }, { destination: "/s", type: "sysfs" }),
    cuts: [
      "/mounts/1/destination: /p → nothing",
      "/mounts/2/destination: proc → nothing",
      "/mounts/3/destination: /s → nothing",
    ],
    left: [count, 1],
  },
  {
    rule: "kernelFilesAreReadOnly",
    says: "a writable sysfs",
    spec: mounts({ destination: "/sys", type: "sysfs", options: ["rw"] }),
    cuts: ["/mounts/0/options: rw → ro"],
    left: [firstOptions, ["ro", "nosuid", "nodev", "noexec"]],
  },
  {
    rule: "fileSystemOptionsAreKnown",
    says: "options of a file system that it does not need",
    spec: mounts({ destination: "/proc", type: "proc", options: ["hidepid=2", "gid=1000"] }, {
      ...tmpfs("mode=1777", "huge=always", "size=4k"),
    }),
    cuts: ["/mounts/0/options: gid=1000 → nothing", "/mounts/1/options: huge=always → nothing"],
    left: [firstOptions, ["hidepid=2", "nosuid", "nodev", "noexec"]],
  },
  {
    rule: "newFileSystemsAreTame",
    says: "set-user-id files, devices and programs where none belong",
    spec: mounts(
      { destination: "/proc", type: "proc", options: ["suid", "dev", "exec"] },
      tmpfs("exec", "size=4k"),
    ),
    cuts: ["suid", "dev", "exec"].map((word) => `/mounts/0/options: ${word} → no${word}`),
    left: [({ mounts }) => mounts!.map(({ options }) => options), [["nosuid", "nodev", "noexec"], [
      "exec",
      "nosuid",
      "nodev",
      "size=4096",
      "nr_inodes=1024",
    ]]],
  },
  {
    rule: "memoryFilesAreBounded",
    says: "more memory for files than there is",
    spec: mounts(tmpfs("size=100g"), tmpfs("size=1m"), tmpfs()),
    cuts: [
      `/mounts/0/options: size=100g → size=${512 * MIB}`,
      "/mounts/1: size=1m → nothing",
      "/mounts/2: tmpfs → nothing",
    ],
    left: [firstOptions, ["nosuid", "nodev", `size=${512 * MIB}`, `nr_inodes=${512 * 1024}`]],
  },
  ...["size=0", "size=50%", "size=99999999999999", "size=0x1000", "size=-1"].map((word): Ask => ({
    rule: "memoryFilesAreBounded",
    says: `a tmpfs of ${word}`,
    spec: mounts(tmpfs(word)),
    cuts: /[%-]/.test(word)
      ? [`/mounts/0/options: ${word} → nothing`]
      : [`/mounts/0/options: ${word} → size=${128 * MIB}`],
    left: [firstOptions, ["nosuid", "nodev", `size=${128 * MIB}`, `nr_inodes=${128 * 1024}`]],
  })),
  {
    rule: "memoryFilesAreBounded",
    says: "inodes without end",
    spec: mounts(tmpfs("size=1m", "nr_inodes=0")),
    cuts: [],
    left: [firstOptions, ["nosuid", "nodev", `size=${MIB}`, "nr_inodes=1024"]],
  },
  {
    rule: "sourcesAreAllowed",
    says: "the host's files",
    spec: mounts(
      bind("/etc", "ro"),
      bind("link", "ro"),
      bind("/gone", "ro"),
      bind("/srv", "ro"),
      bind("/srv2", "ro"),
    ),
    sources: [directory("/etc"), directory("/root"), undefined, directory("/srv"), directory("/srv2")],
    facts: { binds: [{ path: "/srv" }] },
    cuts: ["/etc", "link", "/gone", "/srv2"].map((source, at) =>
      `/mounts/${[0, 1, 2, 4][at]}/source: ${source} → nothing`
    ),
    left: [({ mounts }) => mounts!.map(({ source }) => source), ["/srv"]],
  },
  {
    rule: "sourcesAreFiles",
    says: "a device, a socket or a fifo",
    spec: mounts(bind("disk", "ro"), bind("odd", "ro"), bind("fine", "ro")),
    sources: [
      { real: "/b/disk", kind: "special", inode: 7 },
      { real: "/b/odd", kind: "file" },
      { real: "/b/fine", kind: "file", inode: 8 },
    ],
    cuts: ["/mounts/0/source: /b/disk → nothing", "/mounts/1/source: /b/odd → nothing"],
    left: [count, 1],
  },
  {
    rule: "bindsAreReadOnly",
    says: "to write where only reading is allowed",
    spec: mounts(bind("data"), bind("/srv/a", "rw"), bind("/srv/b"), bind("/out/c", "ro"), bind("/out/d")),
    sources: ["/b/data", "/srv/a", "/srv/b", "/out/c", "/out/d"].map(directory),
    facts: { binds: [{ path: "/srv" }, { path: "/out", writable: true }] },
    cuts: [0, 1, 2].map((index) => `/mounts/${index}/options: a writable bind → ro`),
    left: [({ mounts }) => mounts!.map(({ options }) => options!.includes("rro")), [
      true,
      true,
      true,
      true,
      false,
    ]],
  },
  {
    rule: "bindsAreReadOnly",
    says: "to write to the bundle in a writable directory, or to a read-only one in a writable one",
    spec: mounts(bind("data"), bind("/out/kept/x")),
    sources: [directory("/b/data"), directory("/out/kept/x")],
    facts: { binds: [{ path: "/", writable: true }, { path: "/out/kept" }] },
    cuts: [0, 1].map((index) => `/mounts/${index}/options: a writable bind → ro`),
  },
  {
    rule: "bindsAreTame",
    says: "rights that the host has taken from a mount",
    spec: mounts(bind("data", "ro", "suid", "rdev", "exec", "symfollow", "noatime")),
    sources: [directory("/b/data")],
    cuts: ["suid", "rdev", "exec"].map((word) => `/mounts/0/options: ${word} → nothing`),
    left: [firstOptions, ["bind", "noatime", "rro", "rnosuid", "rnodev"]],
  },
  {
    rule: "argumentsAreBounded",
    says: "endless arguments",
    spec: process({ args: ["true", "x".repeat(600_000)], env: [`A=${"x".repeat(600_000)}`] }),
    cuts: [],
    refusals: ["/process/args"],
  },
  {
    rule: "directoryIsShallow",
    says: "a working directory below a thousand others",
    spec: process({ cwd: "/d".repeat(1000) }),
    cuts: [],
    refusals: ["/process/cwd"],
  },
  {
    rule: "capabilitiesAreFew",
    says: "capabilities over the host",
    spec: process({
      capabilities: { bounding: ["CAP_KILL", "CAP_SYS_ADMIN"], permitted: ["CAP_MKNOD"], effective: [] },
    }),
    cuts: [
      "/process/capabilities/bounding: CAP_SYS_ADMIN → nothing",
      "/process/capabilities/permitted: CAP_MKNOD → nothing",
    ],
    left: [({ process }) => process!.capabilities!.bounding, ["CAP_KILL"]],
  },
  {
    rule: "capabilitiesAreNotPassedOn",
    says: "capabilities for the programs that it starts",
    spec: process({ capabilities: { inheritable: ["CAP_KILL"], ambient: ["CAP_KILL"] } }),
    cuts: [
      "/process/capabilities/inheritable: CAP_KILL → nothing",
      "/process/capabilities/ambient: CAP_KILL → nothing",
    ],
    left: [({ process }) => process!.capabilities, { inheritable: [], ambient: [] }],
  },
  {
    rule: "privilegesAreNotGained",
    says: "set-user-id programs",
    spec: process({ noNewPrivileges: false }),
    cuts: ["/process/noNewPrivileges: false → true"],
    left: [({ process }) => process!.noNewPrivileges, true],
  },
  {
    rule: "privilegesAreNotGained",
    says: "nothing about new privileges",
    spec: process({}),
    cuts: [],
    left: [({ process }) => process!.noNewPrivileges, true],
  },
  {
    rule: "limitsAreNotRaised",
    says: "limits above the caller's and the ceiling",
    spec: process({
      rlimits: [
        { type: "RLIMIT_CORE", soft: 2n ** 64n - 1n, hard: 2n ** 64n - 1n },
        { type: "RLIMIT_NOFILE", soft: 10, hard: 5000 },
        { type: "RLIMIT_NPROC", soft: 10, hard: 2n ** 64n - 1n },
      ],
    }),
    facts: { rlimits: new Map([["RLIMIT_NOFILE", 4096n]]) },
    cuts: [
      "/process/rlimits/0: RLIMIT_CORE 18446744073709551615:18446744073709551615 → 0",
      "/process/rlimits/1: RLIMIT_NOFILE 10:5000 → 4096",
    ],
    left: [({ process }) => process!.rlimits![1], { type: "RLIMIT_NOFILE", soft: 10, hard: 4096n }],
  },
  {
    rule: "othersAreKilledLater",
    says: "to be killed last",
    spec: process({ oomScoreAdj: -1000 }),
    cuts: ["/process/oomScoreAdj: -1000 → 0"],
    left: [({ process }) => process!.oomScoreAdj, 0],
  },
  ...([
    { policy: "SCHED_FIFO", priority: 99 },
    { policy: "SCHED_OTHER", nice: -1 },
    { policy: "SCHED_OTHER", flags: ["SCHED_FLAG_UTIL_CLAMP_MIN"] },
  ] as const).map((scheduler): Ask => ({
    rule: "othersRunFirst",
    says: `to run first by ${JSON.stringify(scheduler)}`,
    spec: process({ scheduler }),
    cuts: [`/process/scheduler: ${JSON.stringify(scheduler)} → the caller's`],
    left: [({ process }) => process!.scheduler, undefined],
  })),
  ...([{ class: "IOPRIO_CLASS_RT" }, { class: "IOPRIO_CLASS_BE", priority: 0 }] as const).map((
    ioPriority,
  ): Ask => ({
    rule: "othersReadFirst",
    says: `to read first by ${ioPriority.class}`,
    spec: process({ ioPriority }),
    cuts: [`/process/ioPriority: ${JSON.stringify(ioPriority)} → the caller's`],
    left: [({ process }) => process!.ioPriority, undefined],
  })),
  {
    rule: "labelsAreNotChosen",
    says: "labels of its own",
    spec: process({ apparmorProfile: "unconfined", selinuxLabel: "system_u:system_r:kernel_t:s0" }),
    cuts: [
      "/process/apparmorProfile: unconfined → nothing",
      "/process/selinuxLabel: system_u:system_r:kernel_t:s0 → nothing",
    ],
    left: [({ process }) => [process!.apparmorProfile, process!.selinuxLabel], [undefined, undefined]],
  },
  {
    rule: "nobodyIsAsked",
    says: "an agent that decides over calls",
    spec: spec({}, {
      seccomp: {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }],
      },
    }),
    cuts: ["/linux/seccomp/syscalls/0/action: SCMP_ACT_NOTIFY → SCMP_ACT_ERRNO"],
    left: [({ linux }) => linux!.seccomp!.syscalls, [{ names: ["mkdir"], action: "SCMP_ACT_ERRNO" }]],
  },
  {
    rule: "listenersGo",
    says: "a socket of the host",
    spec: spec({}, {
      seccomp: { defaultAction: "SCMP_ACT_ALLOW", listenerPath: "/run/agent", listenerMetadata: "x" },
    }),
    cuts: ["/linux/seccomp/listenerPath: /run/agent → nothing"],
    left: [({ linux }) => linux!.seccomp, { defaultAction: "SCMP_ACT_ALLOW" }],
  },
  {
    rule: "nothingIsLogged",
    says: "lines in the host's log",
    spec: spec({}, {
      seccomp: {
        defaultAction: "SCMP_ACT_LOG",
        syscalls: [{ names: ["getpid"], action: "SCMP_ACT_LOG" }],
      },
    }),
    cuts: [
      "/linux/seccomp/syscalls/0/action: SCMP_ACT_LOG → SCMP_ACT_ALLOW",
      "/linux/seccomp/defaultAction: SCMP_ACT_LOG → SCMP_ACT_ALLOW",
    ],
    left: [({ linux }) => linux!.seccomp, {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["getpid"], action: "SCMP_ACT_ALLOW" }],
    }],
  },
  {
    rule: "filterFlagsGo",
    says: "a filter without a mitigation",
    spec: spec({}, {
      seccomp: { defaultAction: "SCMP_ACT_ALLOW", flags: ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"] },
    }),
    cuts: ["/linux/seccomp/flags: SECCOMP_FILTER_FLAG_SPEC_ALLOW → nothing"],
    left: [({ linux }) => linux!.seccomp, { defaultAction: "SCMP_ACT_ALLOW" }],
  },
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
