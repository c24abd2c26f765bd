import type { Host } from "../../runtime/host/facts.ts";
import type { PlanRequest } from "../../runtime/plan/context.ts";
import { type Context, context } from "../../runtime/plan/context.ts";
import type { Arg, Op, Plan, Struct } from "../../runtime/plan/op.ts";
import type { Linux, Process, Spec } from "../../runtime/spec/config.ts";

/** A machine as data, so that plans are the same everywhere. */
export const HOST: Host = {
  arch: "x86_64",
  uid: 0,
  gid: 0,
  privileged: true,
  lastCapability: 40,
  openFiles: { soft: 1024, hard: 4096 },
  cgroups: [
    { version: 1, controllers: "cpu,cpuacct", mountPoint: "/sys/fs/cgroup/cpu,cpuacct", own: "/user" },
    { version: 1, controllers: "name=systemd", mountPoint: "/sys/fs/cgroup/systemd", own: "/" },
    { version: 2, controllers: "", mountPoint: "/sys/fs/cgroup/unified", own: "/user" },
  ],
};

/** The same machine with cgroup v2 alone. */
export const HOST_V2: Host = {
  ...HOST,
  cgroups: [{ version: 2, controllers: "", mountPoint: "/sys/fs/cgroup", own: "/user.slice" }],
};

/** An unprivileged user's view of it. */
export const ROOTLESS: Host = { ...HOST_V2, uid: 1000, gid: 1000, privileged: false };

/** What a test changes of the smallest spec. */
export type Part =
  & Omit<Partial<Spec>, "process" | "linux">
  & { readonly process?: Partial<Process>; readonly linux?: Partial<Linux> };

/** A spec with the namespaces of `runc spec` and nothing else, changed by `part`. */
export function specOf({ process, linux, ...rest }: Part = {}): Spec {
  const namespaces = (["pid", "network", "ipc", "uts", "mount"] as const).map((type) => ({ type }));
  return {
    ociVersion: "1.3.0",
    root: { path: "rootfs" },
    process: { cwd: "/", args: ["/bin/true"], ...process },
    linux: { namespaces, ...linux },
    ...rest,
  };
}

/** A request for such a spec. */
export function requestOf(part: Part = {}, more: Partial<PlanRequest> = {}): PlanRequest {
  return {
    spec: specOf(part),
    bundle: "/bundle",
    root: { kind: "directory", path: "/bundle/rootfs" },
    host: HOST,
    sources: new Map(),
    form: "supervised",
    ...more,
  };
}

/** The context of such a request, for the planners of one part. */
export function contextOf(part: Part = {}, more: Partial<PlanRequest> = {}): Context {
  return context(requestOf(part, more));
}

const MAPPINGS = [{ containerID: 0, hostID: 100_000, size: 65_536 }];

/** A request that makes a plan use every struct and nearly every planner. */
export function everythingRequest(more: Partial<PlanRequest> = {}): PlanRequest {
  const capabilities = ["CAP_KILL", "CAP_NET_BIND_SERVICE"] as const;
  const part: Part = {
    hostname: "box",
    domainname: "example.test",
    root: { path: "rootfs", readonly: true },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: ["nosuid"] },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "ro"] },
      { destination: "/dev/pts", type: "devpts", options: ["newinstance", "ptmxmode=0666"] },
      { destination: "/sys/fs/cgroup", type: "cgroup", options: ["ro", "nosuid"] },
      { destination: "/data/file", source: "/srv/file", options: ["bind", "ro", "rshared"] },
      { destination: "/data/all", source: "all", options: ["rbind", "rro", "ridmap", "noexec"] },
      { destination: "/etc", type: "tmpfs", options: ["tmpcopyup"] },
      { destination: "/data/all", options: ["remount", "nodev"] },
    ],
    process: {
      cwd: "/work",
      args: ["sh", "-c", "true"],
      env: ["PATH=/bin:/usr/bin", "A=b"],
      terminal: true,
      consoleSize: { height: 25, width: 80 },
      user: { uid: 1000, gid: 1000, additionalGids: [5], umask: 0o27 },
      capabilities: {
        bounding: capabilities,
        permitted: capabilities,
        effective: ["CAP_KILL"],
        inheritable: capabilities,
        ambient: ["CAP_NET_BIND_SERVICE"],
      },
      rlimits: [{ type: "RLIMIT_NOFILE", soft: 512, hard: 18446744073709551615n }],
      noNewPrivileges: true,
      oomScoreAdj: 100,
      scheduler: { policy: "SCHED_BATCH", nice: 3, flags: ["SCHED_FLAG_RESET_ON_FORK"] },
      ioPriority: { class: "IOPRIO_CLASS_BE", priority: 4 },
      execCPUAffinity: { final: "0-1" },
    },
    linux: {
      namespaces: (["pid", "network", "ipc", "uts", "mount", "user", "cgroup", "time"] as const).map(
        (type) => {
          return { type };
        },
      ),
      uidMappings: MAPPINGS,
      gidMappings: MAPPINGS,
      timeOffsets: { monotonic: { secs: 60, nanosecs: 5 }, boottime: { secs: -60 } },
      devices: [
        { path: "/dev/fuse", type: "c", major: 10, minor: 229, fileMode: 0o600, uid: 5, gid: 6 },
        { path: "/opt/pipe", type: "p" },
      ],
      sysctl: { "net.ipv4.ip_forward": "1" },
      maskedPaths: ["/proc/kcore", "/sys/firmware"],
      readonlyPaths: ["/proc/sys"],
      rootfsPropagation: "rslave",
      personality: { domain: "LINUX" },
      memoryPolicy: { mode: "MPOL_BIND", nodes: "0" },
    },
  };
  return requestOf(part, {
    root: { kind: "overlay", lowers: ["/bundle/top", "/bundle/rootfs"], sizeBytes: 1 << 20 },
    sources: new Map([["/srv/file", "file"], ["/bundle/all", "directory"]]),
    filter: { program: new Uint8Array(16), flags: 0, notify: true },
    ...more,
  });
}

/** The steps of a plan in order. */
export function opsOf({ sections }: Plan): Op[] {
  return sections.flatMap(({ ops }) => ops);
}

/** Every struct that the steps of a plan point to, one of each name. */
export function structs(plan: Plan): Map<string, Struct> {
  const found = new Map<string, Struct>();
  const look = (arg: Arg): void => {
    if (typeof arg !== "object" || !("members" in arg)) return;
    found.set(arg.struct, arg);
    for (const [, , value] of arg.members) look(value);
  };
  for (const { args } of opsOf(plan)) args.forEach(look);
  return found;
}
