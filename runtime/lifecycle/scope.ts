import { pipe } from "../../ffi/fd.ts";
import { executable } from "../../ffi/memfd.ts";
import { kill, reap, spawn } from "../../ffi/process.ts";
import type { UnitRequest } from "../limits.ts";
import { assemble } from "../launch/image.ts";
import { op, zeros } from "../plan/op.ts";
import type { Resources } from "../spec/config.ts";
import { Systemd, SystemdError } from "../systemd/bus.ts";
import { resourceProperties, scopeProperties } from "../systemd/properties.ts";
import { annotated } from "../systemd/variant.ts";

const SIGKILL = 9;
/** How long systemd may take to move a process. */
const MOVE_MS = 30_000;

/** A unit of systemd that was started for a container; disposing stops it. */
export interface Scope extends AsyncDisposable {
  /** A process that keeps it until the container's own are in it; 0 if it needs none. */
  readonly holder: number;
  /** The container's processes are in it: it is left to them. */
  letGo(): void;
}

/**
 * Lets systemd make the cgroup of a container.
 *
 * @throws {UnsupportedError} if no systemd runs.
 * @throws {SystemdError} if it refuses.
 */
export async function startScope(
  id: string,
  { unit, user, version, annotations }: UnitRequest,
  resources: Resources,
): Promise<Scope> {
  await using stack = new AsyncDisposableStack();
  const systemd = stack.use(await Systemd.connect(user));
  const isSlice = unit.name.endsWith(".slice");
  const holder = isSlice ? undefined : stack.use(hold());
  const manager = {
    version,
    release: await systemd.release(),
    ...(!user && { devices: Deno.readTextFileSync("/proc/devices") }),
  };
  const pid = holder?.pid ?? 0;
  const properties = [
    ...scopeProperties({ id, slice: unit.slice, isSlice, pid }, resources, manager),
    ...annotated(annotations),
  ];
  stack.defer(() => systemd.stop(unit.name));
  await systemd.start(unit.name, properties);
  await moved(unit.path, pid, unit.name);
  const kept = stack.move();
  return {
    holder: pid,
    letGo: () => {
      holder?.[Symbol.dispose]();
      systemd[Symbol.dispose]();
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Changes the limits that systemd keeps of a container; what takes that back. */
export async function changeScope(
  { name, user, version }: Pick<UnitRequest, "user" | "version"> & { readonly name: string },
  now: Resources,
  before: Resources,
): Promise<AsyncDisposable & { undo(): Promise<void> }> {
  const systemd = await Systemd.connect(user);
  try {
    const manager = { version, release: await systemd.release() };
    await systemd.change(name, resourceProperties(now, manager));
    return {
      undo: () => systemd.change(name, resourceProperties(before, manager)),
      [Symbol.asyncDispose]: () => Promise.resolve(systemd[Symbol.dispose]()),
    };
  } catch (error) {
    systemd[Symbol.dispose]();
    throw error;
  }
}

/** Stops the unit of a container whose processes and cgroups are gone, if systemd still has it. */
export async function stopScope(
  { name, user }: { readonly name: string; readonly user: boolean },
): Promise<void> {
  try {
    using systemd = await Systemd.connect(user);
    await systemd.stop(name);
    await systemd.forget(name);
  } catch {
    // A scope without processes goes by itself: nothing is left that could be removed.
  }
}

/** A process that does nothing until it is disposed of, or this process ends. */
function hold(): { readonly pid: number } & Disposable {
  const ops = [
    op("wait", "read", [0, zeros(8, "byte"), 1], { label: "wait", failed: "over" }),
    op("end", "exit_group", [0], { label: "over" }),
  ];
  const end = [op("end", "exit_group", [1], { label: "fail" })];
  const arch = Deno.build.arch === "x86_64" ? "x86_64" : "aarch64";
  const image = assemble({ arch, sections: [{ by: "launcher", ops }, { by: "end", ops: end }] });
  using file = executable("ai-sandbox", image.elf);
  const { read, write } = pipe();
  using _read = read;
  using stack = new DisposableStack();
  stack.use(write);
  const pid = spawn(`/proc/self/fd/${file.raw}`, "ai-sandbox", [read.raw]);
  let ended = false;
  const kept = stack.move();
  return {
    pid,
    [Symbol.dispose]: () => {
      if (ended) return;
      ended = true;
      kept.dispose();
      kill(pid, SIGKILL);
      reap(pid, true);
    },
  };
}

/** Waits until a process is in the cgroup of its unit; without one until that is there. */
async function moved(path: string, pid: number, unit: string): Promise<void> {
  const isThere = (): boolean => {
    if (pid !== 0) {
      return Deno.readTextFileSync(`/proc/${pid}/cgroup`).split("\n").some((each) =>
        each.endsWith(`:${path}`)
      );
    }
    return true;
  };
  for (const end = performance.now() + MOVE_MS; !isThere();) {
    if (performance.now() > end) {
      throw new SystemdError(`start unit "${unit}"`, "timeout", `its cgroup is not "${path}"`);
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
