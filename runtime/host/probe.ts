import { libc } from "../../ffi/libc.ts";
import { UnsupportedError } from "../errors.ts";
import type { CgroupHierarchy, Host } from "./facts.ts";

const RLIMIT_NOFILE = 7n;
/** What Linux gives a process that nobody raised it for; Deno has raised ours. */
const USUAL_OPEN_FILES = 1024;
const CAP_SYS_ADMIN = 21n;

/** Asks the kernel what a plan has to know; `caller` stands for another user than the calling one. */
export function probeHost(caller?: Pick<Host, "uid" | "gid" | "privileged">): Host {
  const { arch } = Deno.build;
  if (arch !== "x86_64" && arch !== "aarch64") {
    throw new UnsupportedError("a sandbox", `there is no launcher for ${arch}`, "use x86_64 or aarch64");
  }
  const uid = libc.geteuid();
  return {
    arch,
    ...(caller ?? { uid, gid: libc.getegid(), privileged: uid === 0 && hasCapability(CAP_SYS_ADMIN) }),
    lastCapability: Number(read("/proc/sys/kernel/cap_last_cap")),
    openFiles: openFiles(),
    get cgroups() {
      return cgroups(read("/proc/self/mountinfo"), read("/proc/self/cgroup"));
    },
  };
}

function read(path: string): string {
  return Deno.readTextFileSync(path);
}

function hasCapability(number: bigint): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(read("/proc/self/status"))?.[1] ?? "0";
  return ((BigInt(`0x${effective}`) >> number) & 1n) === 1n;
}

function openFiles(): Host["openFiles"] {
  const limit = new BigUint64Array(2);
  const prlimit64 = Deno.build.arch === "x86_64" ? 302n : 261n;
  libc.syscall(prlimit64, 0n, RLIMIT_NOFILE, 0n, Deno.UnsafePointer.value(Deno.UnsafePointer.of(limit)));
  const hard = Number(limit[1]!);
  return { soft: Math.min(USUAL_OPEN_FILES, hard), hard };
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
    if (controllers === undefined || found.some((each) => each.mountPoint === mountPoint)) continue;
    const version = type === "cgroup2" ? 2 : 1;
    found.push({ version, controllers, mountPoint, own: own.get(controllers) ?? "/" });
  }
  return found;
}
