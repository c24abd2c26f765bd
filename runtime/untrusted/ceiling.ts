import type { CapabilityName, Rlimit } from "../spec/config.ts";

/** A directory of the host below which an untrusted bundle may bind. */
export interface AllowedBind {
  /** Its path; links on the way are followed once, when the sandbox is made. */
  readonly path: string;
  /** Whether it may be written to; else it is read-only whatever the bundle says. @default {false} */
  readonly writable?: boolean;
}

/** The most that an untrusted bundle can have. */
export interface Ceiling {
  /** Directories of the host that it may bind from, beside its own, which is always read-only. */
  readonly binds: readonly AllowedBind[];
  /** How many mounts it may have. */
  readonly mounts: number;
  /** How large all of its tmpfs may be together; one without a size gets a quarter. */
  readonly tmpfsBytes: number;
  /** How many bytes its arguments and environment may have together. */
  readonly argumentBytes: number;
  /** How many paths it may mask or make read-only, each. */
  readonly coveredPaths: number;
  /** What root inside may do to what belongs to the sandbox. */
  readonly capabilities: readonly CapabilityName[];
  /** Kernel parameters of its own namespaces that it may set. */
  readonly sysctls: readonly string[];
  /** Bounds of resource limits; the caller's own hard limit is one for all the others. */
  readonly rlimits: readonly Pick<Rlimit, "type" | "hard">[];
  /** How many tasks it may have, whatever its own limit. */
  readonly pids?: number | undefined;
  /** How much memory, swap included, it may have. */
  readonly memoryBytes?: number | undefined;
  /** How many CPUs it may use. */
  readonly cpus?: number | undefined;
}

const MIB = 1 << 20;

/** What a bundle gets of which nothing is known. */
export const DEFAULT_CEILING: Ceiling = {
  binds: [],
  mounts: 256,
  tmpfsBytes: 512 * MIB,
  argumentBytes: MIB,
  coveredPaths: 1024,
  capabilities: [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETGID",
    "CAP_SETUID",
  ],
  // None costs the host anything or changes what another network sees.
  sysctls: [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
  ],
  rlimits: [
    { type: "RLIMIT_CORE", hard: 0 }, // the host's core_pattern would get it
    { type: "RLIMIT_MEMLOCK", hard: 8 * MIB },
    { type: "RLIMIT_MSGQUEUE", hard: 819_200 },
    { type: "RLIMIT_NICE", hard: 20 }, // nice 0: 20 minus the limit is the least (getrlimit(2))
    { type: "RLIMIT_RTPRIO", hard: 0 },
    { type: "RLIMIT_SIGPENDING", hard: 4096 },
  ],
};
