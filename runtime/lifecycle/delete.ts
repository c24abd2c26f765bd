import { SyscallError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { placeAt } from "../../ffi/look.ts";
import { openPidFd, signalPidFd } from "../../ffi/process.ts";
import { LifecycleError } from "../errors.ts";
import { EPOLLIN, reactor } from "../launch/reactor.ts";
import { GATE_FD } from "../plan/protocol.ts";
import { hold } from "../state/liveness.ts";
import { checkMove } from "../state/moves.ts";
import { unreadable } from "../state/record.ts";
import { type Entry, Store } from "../state/store.ts";
import { groupOf, type Known, noContainer, type StoreOptions } from "./container.ts";
import { statusOf } from "./status.ts";

const SIGKILL = 9;
/** How long a killed process may take to end. */
const END_MS = 10_000;

/** Options of {@linkcode deleteContainer}. */
export interface DeleteOptions extends StoreOptions {
  /** Also one that runs; one that is not there is none to be deleted. */
  readonly force?: boolean;
  /** Hears what is wrong with hooks that fail. */
  readonly onWarning?: (warning: string) => void;
}

/**
 * Removes a container with everything that was made for it, in whatever state it was left; when this returns, nothing
 * of it is there. One that a killed command left half made is removed as well.
 *
 * @throws {LifecycleError} if there is none, or it runs, and it is not forced; or a process cannot be ended.
 */
export async function deleteContainer(
  id: string,
  { force = false, onWarning, ...options }: DeleteOptions = {},
): Promise<void> {
  using entry = await new Store(options.root).lock(id);
  const record = entry?.read();
  if (!record && !force) throw noContainer();
  if (!entry) return;
  if (record) {
    const container = { entry, record };
    if (!force) checkMove("delete", statusOf(container, true), id);
    await destroy(container);
    if (record.hooks?.length) {
      const { poststop } = await import("./hooks.ts");
      for (const warning of await poststop(container)) onWarning?.(warning);
    }
  }
  entry.remove();
}

/** Removes a container that the caller has the lock of. */
export async function deleteLocked(container: Known): Promise<void> {
  await destroy(container);
  container.entry.remove();
}

async function destroy(container: Pick<Known, "entry" | "record">): Promise<void> {
  await endAll(container);
  const { unit } = container.record;
  if (unit) await (await import("./scope.ts")).stopScope(unit);
}

async function endAll(container: Pick<Known, "entry" | "record">): Promise<void> {
  const { entry, record } = container;
  await using group = record.groups.length > 0 ? groupOf(container) : undefined;
  if (record.init) {
    using fd = hold(record.init);
    if (fd) await end(fd, `${record.init.pid}`, () => group?.thaw());
  } else await endWaiting(entry);
  if (record.resctrl?.length) (await import("../rdt.ts")).removeRdt(resctrlOf(container));
}

/** @throws {LifecycleError} if the record names what is not in resctrl: it is not touched. */
function resctrlOf({ entry, record }: Pick<Known, "entry" | "record">): readonly string[] {
  const own = record.resctrl ?? [];
  const mounts = Deno.readTextFileSync("/proc/self/mountinfo").matchAll(
    /^\S+ \S+ \S+ \S+ (\S+) .* - resctrl /gm,
  );
  const roots = [...mounts].map(([, path]) => `${path}/`);
  const wrong = own.find((path) => !roots.some((root) => path.startsWith(root)));
  if (wrong === undefined || roots.length === 0) return roots.length === 0 ? [] : own;
  throw unreadable(`${entry.path}/record.json`, `"${wrong}" is not in resctrl`);
}

/** Kills a process and waits for its end; `free` lets it die where it was frozen. */
async function end(fd: Fd, pid: string, free: () => void = () => {}): Promise<void> {
  signalPidFd(fd, SIGKILL);
  free();
  const { promise: late, resolve } = Promise.withResolvers<"late">();
  using _timer = reactor.after(END_MS, () => resolve("late"));
  if (await Promise.race([reactor.ready(fd, EPOLLIN), late]) !== "late") return;
  throw new LifecycleError(`Cannot end process ${pid}: it waits in the kernel, where it cannot be killed`);
}

/**
 * Ends the launcher and the init of a container whose creator was killed before it knew them: nobody else has this
 * start gate open.
 */
async function endWaiting(entry: Entry): Promise<void> {
  const { gate } = entry;
  if (!gate) return;
  const waits = (pid: string): boolean => {
    try {
      const place = placeAt(`/proc/${pid}/fd/${GATE_FD.value}`);
      return place.inode === gate.inode && place.device === gate.device;
    } catch (error) {
      if (error instanceof SyscallError) return false; // it has ended, or has nothing there
      throw error;
    }
  };
  // A launcher may have borne init while it was looked for.
  for (let found = true; found;) {
    found = false;
    for (const { name } of Deno.readDirSync("/proc")) {
      if (!/^\d+$/.test(name) || !waits(name)) continue;
      found = true;
      try {
        using fd = openPidFd(Number(name));
        if (waits(name)) await end(fd, name);
      } catch (error) {
        if (!(error instanceof SyscallError)) throw error; // it has ended meanwhile
      }
    }
  }
}
