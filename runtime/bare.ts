import { resolve } from "@std/path";
import { BARE_FILTER } from "./bare_filter.ts";
import { ETC, inherited, TOP } from "./command.ts";
import { SEARCH_PATH } from "./defaults.ts";
import { environment } from "./environment.ts";
import { UnsupportedError } from "./errors.ts";
import type { Host } from "./host/facts.ts";
import { probeLandlock } from "./host/probe.ts";
import { INHERITED } from "./inherited.ts";
import type { Limits } from "./limits.ts";
import type { SandboxOptions } from "./options.ts";
import type { PlanRequest } from "./plan/context.ts";
import { type Access, type LandlockRule, type LandlockRules, refuseBeyondAbi } from "./plan/landlock.ts";
import { mountOptions } from "./plan/mount_options.ts";
import { filterOf } from "./filters.ts";
import type { Mount, Spec } from "./spec/config.ts";

const READ: readonly Access[] = ["read", "execute"];
const WRITE: readonly Access[] = [...READ, "write", "truncate"];
/** Files of /etc that everybody reads and that programs need, beside those that a sandbox of its own gets too. */
const PUBLIC = [
  "bash.bashrc",
  "group",
  "host.conf",
  "hosts",
  "nsswitch.conf",
  "passwd",
  "gitconfig",
  "ssl/openssl.cnf",
];
/** What tells of the machine, but not of its processes; `self` is the program's own, not its children's. */
const MACHINE = [
  ...["cpuinfo", "filesystems", "loadavg", "meminfo", "self", "stat", "sys", "uptime", "version"].map((
    name,
  ) => `/proc/${name}`),
  "/sys/devices/system/cpu",
];
const DEVICES = ["full", "null", "random", "urandom", "zero"];

/**
 * What a program is run by where no namespace can be made: as the caller, in the host's namespaces, under Landlock and
 * a filter. It reads what {@linkcode commandSpec} would show it, and writes to `directory` and to mounts with `rw`.
 *
 * @param directory Absolute path of a directory that is the program's own.
 * @throws {UnsupportedError} naming what was asked for and cannot be had so.
 */
export function bareRequest(options: SandboxOptions, host: Host, directory: string): PlanRequest {
  const { command: args, share, env = [], cwd = share ?? directory, mounts = [] } = options;
  if (!args) throw without("a bundle", "its root takes a mount namespace");
  refuseOthers(options);
  const own = [`PATH=${SEARCH_PATH}`, `HOME=${directory}`, `TMPDIR=${directory}`];
  const spec: Spec = {
    ociVersion: "1.2.0",
    root: { path: "/" },
    process: {
      cwd,
      args,
      env: environment([...own, ...INHERITED.flatMap(inherited)], env),
      user: { uid: host.uid, gid: host.gid },
      noNewPrivileges: true,
      rlimits: [{ type: "RLIMIT_CORE", soft: 0, hard: 0 }],
    },
    linux: {},
  };
  const landlock: LandlockRules = {
    abi: probeLandlock() ?? 0,
    handled: ["read", "execute", "write", "truncate", "devices", "ioctl"],
    rules: [
      ...usual(),
      ...(share === undefined ? [] : [{ path: share, kind: "directory" as const, access: READ }]),
      { path: directory, kind: "directory", access: WRITE },
      ...mounts.map(mounted),
    ],
    net: { bind: [], connect: [] },
    scoped: ["abstract sockets", "signals"],
  };
  refuseBeyondAbi(landlock);
  return {
    spec,
    bundle: "/",
    root: { kind: "directory", path: "/" },
    host,
    sources: new Map(),
    filter: filterOf(BARE_FILTER, host, "the filter of --fallback landlock"),
    landlock,
    bare: true,
    form: "supervised",
  };
}

function* usual(): Iterable<LandlockRule> {
  const system = [
    "/usr",
    ...TOP.map((name) => `/${name}`),
    ...[...ETC, ...PUBLIC].map((name) => `/etc/${name}`),
  ];
  for (const path of system) {
    const kind = kindOf(path);
    if (kind) yield { path, kind, access: READ };
  }
  for (const path of MACHINE) {
    const kind = kindOf(path);
    if (kind) yield { path, kind, access: ["read"] };
  }
  for (const name of DEVICES) {
    yield { path: `/dev/${name}`, kind: "file", access: ["read", "write", "ioctl"] };
  }
}

/** A mount is a rule here: the path stays what it is. */
function mounted({ destination, source = "", options = [], type }: Mount): LandlockRule {
  const { bind, set, setAll, idmap, copyUp, propagation, data } = mountOptions(options, type);
  if (!bind) throw without(`a ${type ?? ""} mount at "${destination}"`, "it takes a mount namespace");
  if (resolve(source) !== resolve(destination)) {
    throw without(`"${source}" at "${destination}"`, "a path stays what it is: name the same for both");
  }
  if (idmap || copyUp || propagation || data.length > 0) {
    throw without(`the options of the mount at "${destination}"`, "there is no mount that could have them");
  }
  const has = (name: string): boolean => name in set || name in setAll;
  const access = has("RDONLY") ? READ : WRITE;
  const kind = kindOf(source);
  if (!kind) throw without(`"${source}" at "${destination}"`, "it is not there");
  return { path: source, kind, access: has("NOEXEC") ? access.filter((each) => each !== "execute") : access };
}

/** The flag of each limit: all of them take a cgroup. */
const LIMITS: Readonly<Record<Exclude<keyof Limits, "cgroupManager">, string>> = {
  cpus: "--cpu",
  cpuset: "--cpuset",
  memoryBytes: "--memory",
  memorySwapBytes: "--memory-swap",
  pids: "--pids",
  ioMax: "--io-max",
};

function refuseOthers(options: SandboxOptions): void {
  if (options.policy !== undefined) {
    throw without("a policy", "policies are about namespaces too; this has rules of its own");
  }
  if (options.attest) throw without("attestation", "it compares namespaces, mounts and ids");
  for (const [key, flag] of Object.entries(LIMITS)) {
    if (options[key as keyof typeof LIMITS] !== undefined) throw without(flag, "it takes a cgroup");
  }
}

function without(what: string, reason: string): UnsupportedError {
  return new UnsupportedError(`${what} with --fallback landlock`, reason);
}

function kindOf(path: string): LandlockRule["kind"] | undefined {
  try {
    return Deno.statSync(path).isDirectory ? "directory" : "file";
  } catch {
    return undefined;
  }
}
