import type { Confinement, PlanRequest } from "../../runtime/plan/context.ts";
import { formatPlan } from "../../runtime/plan/format.ts";
import { joinPlan, type JoinRequest } from "../../runtime/plan/join.ts";
import type { LandlockRules } from "../../runtime/plan/landlock.ts";
import { plan } from "../../runtime/plan/plan.ts";
import { underPolicy } from "../../runtime/policy/apply.ts";
import { builtinPolicy } from "../../runtime/policy/builtin.ts";
import type { Mount } from "../../runtime/spec/config.ts";
import { starterSpec } from "../../runtime/starter_spec.ts";
import { golden } from "../helpers/golden.ts";
import {
  everythingRequest,
  HOST,
  HOST_V2,
  type Part,
  requestOf,
  ROOTLESS,
  specOf,
} from "../helpers/plan_samples.ts";

/** What `runc spec` writes. */
const MOUNTS: readonly Mount[] = [
  ...starterSpec().mounts!,
  {
    destination: "/sys/fs/cgroup",
    type: "cgroup",
    source: "cgroup",
    options: ["nosuid", "noexec", "nodev", "relatime", "ro"],
  },
];
const CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"] as const;
const PROCESS: Part["process"] = {
  cwd: "/",
  args: ["sh"],
  env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
  user: { uid: 0, gid: 0 },
  capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
  rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
  noNewPrivileges: true,
};
const HIDDEN = {
  maskedPaths: ["/proc/acpi", "/proc/kcore", "/proc/keys", "/sys/firmware"],
  readonlyPaths: ["/proc/bus", "/proc/sys", "/proc/sysrq-trigger"],
};
const NAMESPACES = (["pid", "network", "ipc", "uts", "mount", "cgroup"] as const).map((type) => ({ type }));
const USER = {
  namespaces: (["user", "pid", "ipc", "uts", "mount", "cgroup"] as const).map((type) => ({ type })),
  uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
  gidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
};

const USUAL: Part = {
  hostname: "runc",
  root: { path: "rootfs", readonly: true },
  mounts: MOUNTS,
  process: PROCESS,
  linux: { namespaces: NAMESPACES, ...HIDDEN },
};

const RULES: LandlockRules = {
  abi: 7,
  handled: ["read", "execute", "write", "truncate", "devices", "ioctl"],
  rules: [
    { path: "/", kind: "directory", access: ["read", "execute"] },
    { path: "/data", kind: "directory", access: ["write", "truncate"] },
    { path: "/dev/null", kind: "file", access: ["write", "ioctl"], optional: true },
  ],
  net: { bind: [8080], connect: [443] },
  scoped: ["abstract sockets", "signals"],
};

const SHARED: Mount = { destination: "/work", source: "/srv/work", options: ["rbind", "ro"] };
const { rlimits, userLimits } = builtinPolicy("strict");
/** With filters of one instruction: what libseccomp makes of a policy differs from version to version. */
const CONFINEMENT: Confinement = {
  filters: [{ program: new Uint8Array(8), flags: 8, notify: true }, {
    program: new Uint8Array(8),
    flags: 0,
    notify: false,
  }],
  rlimits: rlimits.limits,
  userLimits: userLimits?.limits ?? {},
};

const PLANS: Readonly<Record<string, PlanRequest>> = {
  "usual": requestOf(USUAL),
  "usual_v2_aarch64": requestOf(USUAL, { host: { ...HOST_V2, arch: "aarch64" } }),
  "rootless": requestOf({
    ...USUAL,
    mounts: MOUNTS.filter(({ type }) => type !== "cgroup"),
    linux: { ...USER, ...HIDDEN },
  }, { host: ROOTLESS }),
  "rootless_subordinate": requestOf({
    process: { ...PROCESS, user: { uid: 0, gid: 0, additionalGids: [4] } },
    mounts: [],
    linux: {
      namespaces: USER.namespaces,
      uidMappings: [...USER.uidMappings, { containerID: 1, hostID: 100_000, size: 65_536 }],
      gidMappings: [...USER.gidMappings, { containerID: 1, hostID: 100_000, size: 65_536 }],
    },
  }, { host: ROOTLESS }),
  "joined": requestOf({
    process: PROCESS,
    mounts: MOUNTS.slice(0, 1),
    linux: {
      namespaces: [
        { type: "pid" },
        { type: "mount" },
        { type: "network", path: "/proc/77/ns/net" },
        { type: "ipc", path: "/run/ns/ipc" },
        { type: "user", path: "/proc/77/ns/user" },
      ],
    },
  }),
  "joined_cgroup_user": requestOf({
    process: PROCESS,
    linux: {
      namespaces: [
        { type: "mount" },
        { type: "pid" },
        { type: "cgroup", path: "/proc/77/ns/cgroup" },
        { type: "user", path: "/proc/77/ns/user" },
      ],
      uidMappings: [{ containerID: 0, hostID: 100_000, size: 65_536 }],
      gidMappings: [{ containerID: 0, hostID: 100_000, size: 65_536 }],
    },
  }, { form: "detached", groups: [{ directory: "/sys/fs/cgroup/box", version: 2 }] }),
  "hooks": requestOf({
    process: PROCESS,
    mounts: MOUNTS.slice(0, 1),
    hooks: {
      createRuntime: [{ path: "/usr/bin/network" }],
      createContainer: [{ path: "/usr/bin/mounts", args: ["mounts", "-a"], env: ["A=1"], timeout: 5 }],
      startContainer: [{ path: "/sbin/ldconfig" }],
      poststop: [{ path: "/usr/bin/clean" }],
    },
    annotations: { by: "test" },
    linux: { namespaces: NAMESPACES, sysctl: { "net.ipv4.ip_forward": "1" } },
  }, {
    form: "detached",
    root: { kind: "overlay", lowers: ["/bundle/rootfs"], sizeBytes: 1 << 20 },
    hooked: { id: "box", version: "1.3.0" },
  }),
  // All is built while its network is made, unless something is about the devices that come with it.
  "connected": requestOf(USUAL, {
    root: { kind: "overlay", lowers: ["/bundle/rootfs"], sizeBytes: 1 << 20 },
    hooked: { id: "box", version: "1.3.0", connected: true },
  }),
  "connected_sysctls": requestOf({
    process: { args: ["/bin/true"] },
    linux: { namespaces: NAMESPACES, sysctl: { "net.ipv4.conf.eth0.rp_filter": "1" } },
  }, { hooked: { id: "box", version: "1.3.0", connected: true } }),
  "labels": requestOf({
    mounts: MOUNTS.slice(0, 2),
    process: {
      args: ["/bin/true"],
      apparmorProfile: "engine-default",
      selinuxLabel: "u:r:container_t:s0:c1,c2",
    },
    linux: { mountLabel: "u:object_r:container_file_t:s0:c1,c2", namespaces: NAMESPACES },
  }),
  labels_overlay: requestOf({
    process: { args: ["/bin/true"] },
    linux: { mountLabel: "u:object_r:container_file_t:s0:c1,c2", namespaces: NAMESPACES },
  }, { root: { kind: "overlay", lowers: ["/bundle/rootfs"], sizeBytes: 1 << 20 } }),
  "terminal": requestOf({
    mounts: MOUNTS.slice(0, 3),
    process: { ...PROCESS, terminal: true, consoleSize: { height: 25, width: 80 } },
  }),
  "detached": requestOf({
    process: PROCESS,
    mounts: MOUNTS.slice(0, 1),
    linux: {
      ...USER,
      uidMappings: [{ containerID: 0, hostID: 100_000, size: 65_536 }],
      gidMappings: USER.gidMappings,
    },
  }, { form: "detached", groups: [{ directory: "/sys/fs/cgroup/unified/box", version: 2 }] }),
  "overlay": requestOf({ mounts: MOUNTS.slice(0, 2), process: PROCESS }, {
    root: { kind: "overlay", lowers: ["/top", "/bundle/rootfs"], sizeBytes: 1 << 26 },
  }),
  "scratch_standalone": requestOf({
    mounts: [{ destination: "/usr", source: "/usr", options: ["rbind", "ro"] }],
    process: { args: ["/usr/bin/true"] },
  }, {
    form: "standalone",
    sources: new Map([["/usr", "directory"]]),
    root: {
      kind: "scratch",
      sizeBytes: 1 << 20,
      entries: [
        { kind: "directory", path: "/usr", mode: 0o755 },
        { kind: "link", path: "/bin", to: "usr/bin" },
        { kind: "file", path: "/etc-hostname", text: "box\n" },
      ],
    },
  }),
  "attested": requestOf({
    hostname: "box",
    process: PROCESS,
    linux: {
      sysctl: { "net.ipv4.ip_forward": "1" },
      namespaces: [{ type: "user" }, { type: "pid" }, { type: "mount" }],
      uidMappings: USER.uidMappings,
      gidMappings: USER.gidMappings,
    },
  }, { filter: { program: new Uint8Array(8), flags: 0, notify: false }, attest: true }),
  "shared_mounts": requestOf({ process: PROCESS, linux: { namespaces: [{ type: "pid" }] } }),
  "cgroups": requestOf(USUAL, {
    groups: [
      { directory: "/sys/fs/cgroup/pids/box", version: 1 },
      { directory: "/sys/fs/cgroup/unified/box", version: 2 },
    ],
  }),
  // The group of version 2 finds what is left without a pid namespace, too.
  "cgroups_v2_host_pids": requestOf({
    process: PROCESS,
    mounts: [],
    linux: { namespaces: [{ type: "mount" }, { type: "cgroup" }] },
  }, { host: HOST_V2, groups: [{ directory: "/sys/fs/cgroup/box", version: 2 }] }),
  "landlock": requestOf(USUAL, { landlock: RULES }),
  "policy": requestOf(
    underPolicy({ ...specOf(USUAL), mounts: [...MOUNTS, SHARED] }, builtinPolicy("strict"), HOST),
    {
      root: { kind: "overlay", lowers: ["/bundle/rootfs"], sizeBytes: 1 << 26 },
      sources: new Map([["/srv/work", "directory"]]),
      confinement: CONFINEMENT,
    },
  ),
  "bare": requestOf({ process: { ...PROCESS, args: ["/bin/true"] }, linux: { namespaces: [] } }, {
    host: ROOTLESS,
    landlock: RULES,
    filter: { program: new Uint8Array(8), flags: 0, notify: false },
    bare: true,
  }),
  "everything": everythingRequest(),
  "everything_rootless_standalone": everythingRequest({ host: { ...HOST, ...ROOTLESS }, form: "standalone" }),
};

for (const [name, request] of Object.entries(PLANS)) {
  Deno.test(`plan() makes the steps of tests/golden/plans/${name}.txt`, () => {
    golden(`plans/${name}.txt`, formatPlan(plan(request)));
  });
}

const MEMBERS: JoinRequest = {
  spec: specOf(USUAL),
  host: HOST,
  namespaces: ["mount", "pid", "network", "ipc", "uts"],
  groups: [
    { directory: "/sys/fs/cgroup/pids/box", version: 1 },
    { directory: "/sys/fs/cgroup/unified/box", version: 2 },
  ],
  everyCpu: true,
  ownUsers: false,
};
const JOINS: Readonly<Record<string, JoinRequest>> = {
  "join": MEMBERS,
  "join_cgroup": {
    ...MEMBERS,
    namespaces: ["mount", "pid", "cgroup"],
    groups: [{ directory: "/sys/fs/cgroup/box", version: 2 }],
  },
  "join_cgroup_user": {
    ...MEMBERS,
    namespaces: ["user", "pid", "cgroup"],
    groups: [{ directory: "/sys/fs/cgroup/box", version: 2 }],
    ownUsers: true,
  },
  "join_terminal_preserved": {
    ...MEMBERS,
    spec: specOf({ process: { ...PROCESS, terminal: true, consoleSize: { height: 25, width: 80 } } }),
    filter: { program: new Uint8Array(8), flags: 0, notify: true },
    preserved: 2,
  },
  // All that a policy adds, another group of init's, CPUs, and a root that no mount namespace has.
  "join_policy": {
    ...MEMBERS,
    spec: specOf({
      process: { ...PROCESS, oomScoreAdj: 500, execCPUAffinity: { initial: "0", final: "0-1" } },
    }),
    namespaces: ["user", "pid"],
    ownRoot: true,
    initGroup: "/sys/fs/cgroup/unified/box/deeper",
    landlock: RULES,
    confinement: CONFINEMENT,
    ownUsers: true,
  },
};

for (const [name, request] of Object.entries(JOINS)) {
  Deno.test(`joinPlan() makes the steps of tests/golden/plans/${name}.txt`, () => {
    golden(`plans/${name}.txt`, formatPlan(joinPlan(request)));
  });
}
