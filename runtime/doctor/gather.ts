import { attempt } from "../../ffi/errno.ts";
import { libc } from "../../ffi/libc.ts";
import { isInstalled } from "../../ffi/library.ts";
import { cstring } from "../../ffi/memory.ts";
import { LIBNFTABLES } from "../../ffi/nftables.ts";
import { hasSeccomp } from "../../ffi/seccomp.ts";
import { cgroups, probeCaller, probeLandlock } from "../host/probe.ts";
import { syscallNumber } from "../plan/abi.ts";
import { runDirectory } from "../state/run_directory.ts";
import { type Criu, type Facts, PROBED_CALLS, type ProbedCall } from "./facts.ts";
import { settings } from "./user_namespaces.ts";
import { tryOverlay, tryProgram, tryUserNamespace } from "./trials.ts";

const AT_FDCWD = -100n;
const W_OK = 2;
const AT_EACCESS = 0x200;
const CRIU_TIMEOUT_MS = 10_000;

/** Asks this host for everything that the checks look at. Three sandboxes are made, in which nothing runs. */
export async function gather(): Promise<Facts> {
  const { uid, privileged } = probeCaller();
  const hierarchies = tried(() => cgroups(read("/proc/self/mountinfo"), read("/proc/self/cgroup")));
  const images = runDirectory();
  return {
    arch: Deno.build.arch,
    uid,
    privileged,
    program: Deno.execPath(),
    distribution: tried(() => /^ID="?([^"\n]*)/m.exec(read("/etc/os-release"))?.[1]) ?? "",
    settings: settings(),
    namespaces: tried(() => [...Deno.readDirSync("/proc/self/ns")].map(({ name }) => name)),
    fileSystems: tried(() => read("/proc/filesystems").match(/\S+$/gm) ?? []),
    calls: Object.fromEntries(PROBED_CALLS.map((call) => [call, probe(call)])) as Record<ProbedCall, number>,
    trials: {
      sandbox: await tryProgram(),
      overlay: await tryOverlay(),
      userns: await tryUserNamespace(uid),
    },
    libseccomp: hasSeccomp(),
    libnftables: isInstalled(LIBNFTABLES),
    criu: await criu(uid),
    cgroups: hierarchies,
    writableCgroups: (hierarchies ?? []).filter(({ mountPoint, own }) => isWritable(mountPoint + own)).map((
      { mountPoint },
    ) => mountPoint),
    capabilities: tried(() => BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(read("/proc/self/status"))![1]}`)),
    newuidmap: (Deno.env.get("PATH") ?? "").split(":").some((directory) => exists(`${directory}/newuidmap`)),
    subordinate: tried(() => hasSubordinate(uid)),
    images: images?.startsWith("/") ? { directory: images, writable: isWritable(images) } : undefined,
    landlock: probeLandlock(),
  };
}

const ALL = 0xffffffffn;
/** Flags that do not exist, and no memory: what a kernel with the call refuses, but not with ENOSYS. */
const NONSENSE: Record<ProbedCall, readonly [bigint, bigint, bigint, bigint]> = {
  clone3: [0n, 0n, 0n, 0n],
  openat2: [AT_FDCWD, 0n, 0n, 0n],
  fsopen: [0n, ALL, 0n, 0n],
  mount_setattr: [AT_FDCWD, 0n, ALL, 0n],
};

function probe(call: ProbedCall): number {
  const ask = (): bigint => libc.syscall(BigInt(syscallNumber(call, Deno.build.arch)), ...NONSENSE[call]);
  return Math.max(0, -attempt(ask));
}

function isWritable(path: string): boolean {
  return libc.faccessat(Number(AT_FDCWD), cstring(path), W_OK, AT_EACCESS) === 0;
}

function hasSubordinate(uid: number): boolean {
  const name = new RegExp(`^([^:]+):[^:]*:${uid}:`, "m").exec(read("/etc/passwd"))?.[1];
  return read("/etc/subuid").split("\n").some((line) => [name, String(uid)].includes(line.split(":")[0]));
}

/** The CRIU that `./setup` unpacked, for this user or for all, or else the system's. */
async function criu(uid: number): Promise<Criu | undefined> {
  const home = Deno.env.get("XDG_DATA_HOME") || `${Deno.env.get("HOME") ?? ""}/.local/share`;
  const unpacked = [`${home}/ai-sandbox/criu`, "/opt/ai-sandbox/criu"].map((base) =>
    tried(() => JSON.parse(read(`${base}/criu.json`)).criu)
  );
  const path = unpacked.find((each) => typeof each === "string" && exists(each)) ?? "criu";
  try {
    const signal = AbortSignal.timeout(CRIU_TIMEOUT_MS);
    const child = new Deno.Command(path, { args: ["check"], stdin: "null", signal });
    const { success, stdout, stderr } = await child.output();
    const decoder = new TextDecoder();
    const lines = (decoder.decode(stderr) + decoder.decode(stdout)).trim().split("\n");
    const says = lines.find((line) => line.startsWith("Error")) ?? lines.at(-1) ?? "";
    return { path, works: success || (uid === 0 ? false : undefined), says };
  } catch {
    return path === "criu" ? undefined : { path, works: false, says: "it cannot be started" };
  }
}

function read(path: string): string {
  return Deno.readTextFileSync(path);
}

function exists(path: string): boolean {
  return tried(() => Deno.statSync(path)) !== undefined;
}

function tried<Value>(get: () => Value): Value | undefined {
  try {
    return get();
  } catch {
    return undefined;
  }
}
