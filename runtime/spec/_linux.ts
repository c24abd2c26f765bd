/** The table of the `linux` object of config.json. */

import { flag, int64, integer, list, map, mapOf, need, object, oneOf, text, textLike } from "./shape.ts";
import { uint16, uint32, uint64 } from "./shape.ts";
import type { Shape } from "./shape.ts";
import * as is from "./config.ts";

const path = text(4095);
const paths = list(path, 65_536);
const name = text(255);

/** Ranges of ids, of the sandbox and of a mount. */
export const idMappings: Shape<readonly is.IdMapping[]> = list(object<is.IdMapping>({
  containerID: need(uint32),
  hostID: need(uint32),
  size: need(uint32),
}));

/** A property that may be null: then it is as good as not there. */
function orNull<T>(shape: Shape<T>): Shape<T> {
  return (value, at) => value === null ? undefined : shape(value, at);
}

const givenNamespace = object<is.Namespace>({ type: need(oneOf(is.NAMESPACES)), path });

/** An empty path is none, as other runtimes read it. */
const namespace: Shape<is.Namespace> = (value, at) => {
  const given = givenNamespace(value, at);
  return given?.path === "" ? { type: given.type } : given;
};

const device = object<is.Device>({
  type: need(oneOf(is.DEVICE_TYPES)),
  path: need(path),
  major: int64,
  minor: int64,
  fileMode: integer(0, 0o177777), // Podman 5 gives the bits of the type too
  uid: uint32,
  gid: uint32,
});

const weights = list(object<is.BlockIoWeight>({
  major: need(int64),
  minor: need(int64),
  weight: uint16,
  leafWeight: uint16,
}));
const rates = list(object<is.BlockIoRate>({ major: need(int64), minor: need(int64), rate: need(uint64) }));

/** Limits that cgroups enforce. */
export const resources: Shape<is.Resources> = object<is.Resources>({
  unified: map(text(65_536)),
  devices: list(object<is.DeviceRule>({
    allow: need(flag),
    type: oneOf(is.DEVICE_RULE_TYPES),
    major: int64,
    minor: int64,
    // `a` is no kind of access, but runc takes and ignores it.
    access: textLike(/^[rwma]*$/, "some of the letters r, w and m"),
  })),
  memory: object<is.MemoryLimits>({
    limit: int64,
    reservation: int64,
    swap: int64,
    kernel: int64,
    kernelTCP: int64,
    swappiness: uint64,
    disableOOMKiller: flag,
    useHierarchy: flag,
    checkBeforeUpdate: flag,
  }),
  cpu: object<is.CpuLimits>({
    shares: uint64,
    quota: int64,
    burst: uint64,
    period: uint64,
    realtimeRuntime: int64,
    realtimePeriod: uint64,
    cpus: path,
    mems: path,
    idle: int64,
  }),
  pids: object<is.PidsLimits>({ limit: need(int64) }),
  blockIO: object<is.BlockIoLimits>({
    weight: uint16,
    leafWeight: uint16,
    weightDevice: weights,
    throttleReadBpsDevice: rates,
    throttleWriteBpsDevice: rates,
    throttleReadIOPSDevice: rates,
    throttleWriteIOPSDevice: rates,
  }),
  hugepageLimits: list(object<is.HugepageLimit>({
    pageSize: need(textLike(/^[1-9][0-9]*[KMG]B$/, 'a size such as "2MB"')),
    limit: need(uint64),
  })),
  network: object<is.NetworkPriorities>({
    classID: uint32,
    priorities: list(
      object<{ name: string; priority: number }>({ name: need(name), priority: need(uint32) }),
    ),
  }),
  rdma: map(object<is.RdmaLimits>({ hcaHandles: uint32, hcaObjects: uint32 })),
});

/** At least one name, as the schema demands. */
const names: Shape<readonly string[]> = (value, at) => {
  const read = list(name)(value, at);
  return read?.length === 0 && (value as unknown[]).length === 0
    ? at.fail("Cannot use an empty list: at least one name is needed")
    : read;
};

const seccomp = object<is.Seccomp>({
  defaultAction: need(oneOf(is.SECCOMP_ACTIONS)),
  defaultErrnoRet: uint32,
  architectures: list(oneOf(is.SECCOMP_ARCHES)),
  flags: list(oneOf(is.SECCOMP_FLAGS)),
  listenerPath: path,
  listenerMetadata: text(1_048_576),
  syscalls: list(object<is.SeccompRule>({
    names: need(names),
    action: need(oneOf(is.SECCOMP_ACTIONS)),
    errnoRet: uint32,
    args: list(object<is.SeccompArg>({
      index: need(uint32),
      value: need(uint64),
      valueTwo: uint64,
      op: need(oneOf(is.SECCOMP_OPERATORS)),
    })),
  })),
});

/** The whole object. */
export const linux: Shape<is.Linux> = object<is.Linux>({
  namespaces: list(namespace),
  uidMappings: idMappings,
  gidMappings: idMappings,
  timeOffsets: orNull(mapOf(is.CLOCKS, object<is.TimeOffset>({ secs: int64, nanosecs: uint32 }))),
  devices: list(device),
  netDevices: map(object<is.NetDevice>({ name })),
  cgroupsPath: path,
  resources,
  rootfsPropagation: oneOf(is.PROPAGATIONS),
  seccomp,
  sysctl: map(text(4095)),
  maskedPaths: paths,
  readonlyPaths: paths,
  mountLabel: path,
  intelRdt: object<is.IntelRdt>({
    closID: name,
    schemata: list(path),
    l3CacheSchema: path,
    memBwSchema: textLike(/^MB:[^\n]*$/, 'one line that starts with "MB:"'),
    enableMonitoring: flag,
  }),
  memoryPolicy: object<is.MemoryPolicy>({
    mode: need(oneOf(is.MEMORY_POLICY_MODES)),
    nodes: path,
    flags: list(oneOf(is.MEMORY_POLICY_FLAGS)),
  }),
  personality: object<is.Personality>({ domain: need(oneOf(is.PERSONALITY_DOMAINS)), flags: list(name) }),
});
