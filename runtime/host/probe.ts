import { attempt, check } from "../../ffi/errno.ts";
import { libc } from "../../ffi/libc.ts";
import { inUserNamespace } from "../../ffi/user_namespace.ts";
import { UnsupportedError } from "../errors.ts";
import type { CgroupHierarchy, Host } from "./facts.ts";
import { probeSubordinateIds } from "./subordinate_ids.ts";

const RLIMIT_NOFILE = 7;
/** What Linux gives a process that nobody raised it for; Deno has raised ours, and only the built command knows from what. */
const USUAL_OPEN_FILES = 1024;
/** Where the built command keeps what that was: OPEN_FILES in tools/build/settings.ts. */
const CALLERS_OPEN_FILES = Symbol.for("AI_SANDBOX_NOFILE");
const [CAP_SETPCAP, CAP_SYS_PTRACE, CAP_SYS_ADMIN] = [8, 19, 21];
const SYS_landlock_create_ruleset = 444n;
const LANDLOCK_CREATE_RULESET_VERSION = 1n;
const [ENOSYS, EOPNOTSUPP] = [38, 95];
const _LINUX_CAPABILITY_VERSION_3 = 0x20080522;

/** The calling process, as far as it decides over a plan. */
export type Caller = Pick<Host, "uid" | "gid" | "privileged">;

/** Who calls; two system calls each, for it is asked at every start. */
export function probeCaller(): Caller & Pick<Host, "openFiles" | "keepsNamespaces" | "ownsNamespace"> {
  const uid = libc.geteuid();
  const capabilities = uid === 0 ? effectiveCapabilities() : 0;
  const has = (number: number): boolean => ((capabilities >>> number) & 1) === 1;
  const mounts = has(CAP_SYS_ADMIN);
  const privileged = mounts && !inUserNamespace();
  const gives = privileged && has(CAP_SETPCAP) && has(CAP_SYS_PTRACE);
  return {
    uid,
    gid: libc.getegid(),
    privileged,
    ...(mounts && !privileged && { ownsNamespace: true }),
    openFiles: openFiles((globalThis as { [CALLERS_OPEN_FILES]?: number })[CALLERS_OPEN_FILES]),
    ...(privileged && !gives && { keepsNamespaces: true }),
  };
}

/** Asks the kernel what a plan has to know; `caller` stands for another user than the calling one. */
export function probeHost(caller?: Caller): Host {
  const { arch } = Deno.build;
  if (arch !== "x86_64" && arch !== "aarch64") {
    throw new UnsupportedError("a sandbox", `there is no launcher for ${arch}`, "use x86_64 or aarch64");
  }
  let mounted: CgroupHierarchy[] | undefined;
  return {
    arch,
    ...probeCaller(),
    ...(caller && { ...caller, openFiles: openFiles() }),
    lastCapability: Number(read("/proc/sys/kernel/cap_last_cap")),
    get subordinateIds() {
      const { uid, privileged } = caller ?? probeCaller();
      // An executable does not know who will run it.
      return privileged || caller ? undefined : probeSubordinateIds(uid);
    },
    get cgroups() {
      return mounted ??= cgroups(read("/proc/self/mountinfo"), read("/proc/self/cgroup"));
    },
  };
}

function read(path: string): string {
  return Deno.readTextFileSync(path);
}

/** The capabilities below 32 that this process has, as bits, by capget(2). */
export function effectiveCapabilities(): number {
  const header = new Uint32Array([_LINUX_CAPABILITY_VERSION_3, 0]);
  const sets = new Uint32Array(6); // effective, permitted, inheritable, twice
  check(libc.capget(header, sets), "read the capabilities");
  return sets[0]!;
}

function openFiles(soft = USUAL_OPEN_FILES): Host["openFiles"] {
  const limit = new BigUint64Array(2);
  check(libc.prlimit64(0, RLIMIT_NOFILE, null, limit), "read the limit of open files");
  const hard = Number(limit[1]!);
  return { soft: Math.min(soft, hard), hard };
}

/**
 * The version of Landlock's interface that this kernel has (landlock_create_ruleset(2)): 0 if it has none or did not
 * enable it at boot, nothing if it does not say.
 */
export function probeLandlock(): number | undefined {
  const flags = LANDLOCK_CREATE_RULESET_VERSION;
  const version = attempt(
    () => libc.syscall(SYS_landlock_create_ruleset, 0n, 0n, flags, 0n),
    ENOSYS,
    EOPNOTSUPP,
  );
  if (version >= 0) return version;
  return version === -ENOSYS || version === -EOPNOTSUPP ? 0 : undefined;
}

/** The mounted cgroup hierarchies (proc_pid_mountinfo(5), cgroups(7)). */
export function cgroups(mountinfo: string, groups: string): CgroupHierarchy[] {
  const own = new Map(
    groups.trim().split("\n").map((line) => {
      const [, controllers = "", path = "/"] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
      return [controllers, path];
    }),
  );
  const found: CgroupHierarchy[] = [];
  for (const line of mountinfo.split("\n")) {
    const match = /^\S+ \S+ \S+ \S+ (\S+) .* - (cgroup2?) \S+ (\S+)$/.exec(line);
    if (!match) continue;
    const [, mountPoint = "", type, options = ""] = match;
    const words = options.split(",");
    const controllers = type === "cgroup2" ? "" : [...own.keys()].find((key) => {
      return key !== "" && key.split(",").every((word) => words.includes(word));
    });
    const version = type === "cgroup2" ? 2 : 1;
    // A hierarchy may be mounted, or bound, at several places: the first one is as good as the others.
    const isKnown = (each: CgroupHierarchy): boolean => {
      return each.mountPoint === mountPoint || each.version === version && each.controllers === controllers;
    };
    if (controllers === undefined || found.some(isKnown)) continue;
    found.push({ version, controllers, mountPoint, own: own.get(controllers) ?? "/" });
  }
  return found;
}
