import type { Spec } from "../../../../runtime/spec/config.ts";
import { NAMESPACES } from "../../../../runtime/spec/config.ts";

/** Part of a spec: what is given replaces what `whole()` has, `linux` and `process` member by member. */
export type Part =
  & Omit<Partial<Spec>, "linux" | "process">
  & { linux?: Partial<NonNullable<Spec["linux"]>>; process?: Partial<NonNullable<Spec["process"]>> };

/** A valid spec with a new namespace of every kind, changed by `part`. */
export function whole(part: Part = {}): Spec {
  const mappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
  return {
    ociVersion: "1.3.0",
    root: { path: "rootfs" },
    ...part,
    process: { cwd: "/", args: ["true"], user: { uid: 0, gid: 0 }, ...part.process },
    linux: {
      namespaces: NAMESPACES.map((type) => ({ type })),
      uidMappings: mappings,
      gidMappings: mappings,
      ...part.linux,
    },
  };
}

/** A valid spec that shares every namespace with the host, changed by `part`. */
export function shared(part: Part = {}): Spec {
  return whole({ ...part, linux: { namespaces: [], uidMappings: [], gidMappings: [], ...part.linux } });
}

/** One that uses every property, for changing at random. */
export function everything(): Spec {
  return whole({
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      {
        destination: "/data",
        source: "/srv",
        options: ["rbind", "ro", "idmap"],
        uidMappings: [{ containerID: 0, hostID: 1, size: 2 }],
        gidMappings: [{ containerID: 0, hostID: 1, size: 2 }],
      },
    ],
    process: {
      terminal: true,
      consoleSize: { height: 25, width: 80 },
      env: ["PATH=/bin", "TERM=xterm"],
      user: { uid: 1, gid: 1, umask: 0o22, additionalGids: [5, 6] },
      rlimits: [{ type: "RLIMIT_NOFILE", soft: 1024, hard: 18446744073709551615n }],
      apparmorProfile: "profile",
      capabilities: {
        bounding: ["CAP_KILL"],
        permitted: ["CAP_KILL"],
        effective: ["CAP_KILL"],
        inheritable: ["CAP_KILL"],
        ambient: ["CAP_KILL"],
      },
      noNewPrivileges: true,
      oomScoreAdj: 100,
      scheduler: {
        policy: "SCHED_BATCH",
        nice: 3,
        priority: 0,
        flags: ["SCHED_FLAG_RESET_ON_FORK"],
        runtime: 0,
        deadline: 0,
        period: 0,
      },
      selinuxLabel: "a:b:c",
      ioPriority: { class: "IOPRIO_CLASS_BE", priority: 4 },
      execCPUAffinity: { initial: "7", final: "0-3,7" },
    },
    hostname: "box",
    domainname: "example.test",
    hooks: {
      prestart: [{ path: "/bin/a" }],
      createRuntime: [{ path: "/bin/a", args: ["a"], env: ["A=b"], timeout: 5 }],
      createContainer: [{ path: "/bin/a" }],
      startContainer: [{ path: "/bin/a" }],
      poststart: [{ path: "/bin/a" }],
      poststop: [{ path: "/bin/a" }],
    },
    annotations: { "com.example.key": "value" },
    linux: {
      timeOffsets: { monotonic: { secs: 60, nanosecs: 5 }, boottime: { secs: -60 } },
      devices: [{ type: "c", path: "/dev/fuse", major: 10, minor: 229, fileMode: 0o666, uid: 0, gid: 0 }],
      netDevices: { eth0: { name: "eth1" }, ens4: {} },
      cgroupsPath: "/a/b",
      resources: {
        unified: { "memory.high": "100" },
        devices: [{ allow: false, access: "rwm" }, {
          allow: true,
          type: "c",
          major: 10,
          minor: 229,
          access: "rw",
        }],
        memory: {
          limit: 1 << 29,
          reservation: 1 << 28,
          swap: 1 << 30,
          kernel: -1,
          kernelTCP: -1,
          swappiness: 0,
          disableOOMKiller: false,
          useHierarchy: true,
          checkBeforeUpdate: true,
        },
        cpu: {
          shares: 1024,
          quota: 100000,
          burst: 1000,
          period: 100000,
          realtimeRuntime: 950000,
          realtimePeriod: 1000000,
          cpus: "0-1",
          mems: "0",
          idle: 0,
        },
        pids: { limit: 100 },
        blockIO: {
          weight: 10,
          leafWeight: 10,
          weightDevice: [{ major: 8, minor: 0, weight: 500, leafWeight: 300 }],
          throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 600 }],
          throttleWriteBpsDevice: [{ major: 8, minor: 0, rate: 600 }],
          throttleReadIOPSDevice: [{ major: 8, minor: 0, rate: 600 }],
          throttleWriteIOPSDevice: [{ major: 8, minor: 0, rate: 600 }],
        },
        hugepageLimits: [{ pageSize: "2MB", limit: 9223372036854772000n }],
        network: { classID: 1048577, priorities: [{ name: "eth0", priority: 500 }] },
        rdma: { mlx5_1: { hcaHandles: 3, hcaObjects: 10000 } },
      },
      rootfsPropagation: "slave",
      seccomp: {
        defaultAction: "SCMP_ACT_ERRNO",
        defaultErrnoRet: 1,
        architectures: ["SCMP_ARCH_X86_64"],
        flags: ["SECCOMP_FILTER_FLAG_LOG"],
        listenerPath: "/run/agent",
        listenerMetadata: "data",
        syscalls: [
          {
            names: ["clone"],
            action: "SCMP_ACT_ALLOW",
            args: [{ index: 0, value: 2114060288, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }],
          },
          { names: ["mknod"], action: "SCMP_ACT_NOTIFY" },
          { names: ["mount"], action: "SCMP_ACT_ERRNO", errnoRet: 38 },
        ],
      },
      sysctl: { "net.ipv4.ip_forward": "1", "kernel.msgmax": "65536" },
      maskedPaths: ["/proc/kcore"],
      readonlyPaths: ["/proc/sys"],
      mountLabel: "a:b:c",
      intelRdt: {
        closID: "group",
        schemata: ["L3:0=7f0;1=1f"],
        l3CacheSchema: "L3:0=7f0",
        memBwSchema: "MB:0=20",
        enableMonitoring: true,
      },
      memoryPolicy: { mode: "MPOL_INTERLEAVE", nodes: "2-3", flags: ["MPOL_F_STATIC_NODES"] },
      personality: { domain: "LINUX", flags: [] },
    },
  });
}

/** The JSON text of a spec, 64-bit integers in full. */
export function toJson(value: unknown): string {
  const digits: string[] = [];
  const text = JSON.stringify(
    value,
    (_, item) => typeof item === "bigint" ? `@${digits.push(`${item}`) - 1}@` : item,
  );
  return text.replace(/"@(\d+)@"/g, (_, index) => digits[Number(index)]!);
}
