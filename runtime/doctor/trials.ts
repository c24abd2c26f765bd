import { SyscallError } from "../../ffi/errno.ts";
import { LaunchError } from "../launch/launch_error.ts";
import type { SandboxOptions } from "../options.ts";
import { Sandbox } from "../sandbox.ts";
import type { Linux, Mount } from "../spec/config.ts";
import type { Trial } from "./facts.ts";

const MOUNTS: readonly Mount[] = [
  { destination: "/proc", type: "proc", source: "proc" },
  { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=64k"] },
];
const NAMESPACES: NonNullable<Linux["namespaces"]> = [{ type: "pid" }, { type: "mount" }];

/** Makes the sandbox of a program of the host. */
export async function tryProgram(): Promise<Trial> {
  return await attempt({ command: ["true"] });
}

/** Makes the sandbox of a bundle whose root lies under an overlay, as `run` does it. */
export async function tryOverlay(): Promise<Trial> {
  return await attemptBundle({ namespaces: NAMESPACES });
}

/** The same in a user namespace that maps `uid` to root. */
export async function tryUserNamespace(uid: number): Promise<Trial> {
  const mappings = [{ containerID: 0, hostID: uid, size: 1 }];
  const gid = [{ containerID: 0, hostID: Deno.gid() ?? 0, size: 1 }];
  const namespaces = [...NAMESPACES, { type: "user" }] as const;
  return await attemptBundle({ namespaces, uidMappings: mappings, gidMappings: gid });
}

async function attemptBundle(linux: Linux): Promise<Trial> {
  const path = Deno.makeTempDirSync({ prefix: "ai-sandbox-doctor-" });
  try {
    const process = { cwd: "/", args: ["/none"], user: { uid: 0, gid: 0 } };
    const spec = { ociVersion: "1.3.0", root: { path }, mounts: MOUNTS, process, linux };
    return await attempt({ bundle: { path, spec }, overlay: { kind: "tmpfs", sizeBytes: 1 << 20 } });
  } finally {
    Deno.removeSync(path, { recursive: true });
  }
}

/** Everything is built; the program, which need not even be there, never begins. */
async function attempt(options: SandboxOptions): Promise<Trial> {
  try {
    await using _sandbox = await Sandbox.create(options);
    return { works: true };
  } catch (caught) {
    const error = caught instanceof Error && caught.cause instanceof LaunchError ? caught.cause : caught;
    if (error instanceof LaunchError) {
      const { op: { call, does }, errno } = error;
      if (call === "faccessat2" || call === "execve") return { works: true };
      const [, name = `errno ${errno}`] = /\): (E\w+)/.exec(error.message) ?? [];
      return { works: false, call, errno, says: `the kernel refused to ${does} (${call}): ${name}` };
    }
    const number = error instanceof SyscallError ? { errno: error.errno } : {};
    return { works: false, ...number, says: error instanceof Error ? error.message : String(error) };
  }
}
