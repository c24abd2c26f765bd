import { SyscallError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { openPidFd, signalPidFd } from "../../ffi/process.ts";
import { UnsupportedError } from "../errors.ts";
import { processes, read, tree, waitUntil, write, writeIfThere } from "./_tree.ts";
import { isFrozen } from "./frozen.ts";

const SIGKILL = 9;
const ESRCH = 3;
/** How many processes are held open at a time. */
const BATCH = 256;
/** How long cgroup.kill is given before what left its group is looked for. */
const KILL_MS = 50;
const FREEZE_MS = 2_000;

/** The directories of one group that say how it is stopped. */
export interface Stoppable {
  /** Its directory in every hierarchy. */
  readonly directories: readonly string[];
  /** Its directory of version 2. */
  readonly unified?: string | undefined;
  /** Its directory with the freezer of version 1. */
  readonly freezer?: string | undefined;
}

/** Whether no process is left in any directory, or below. */
export function isEmpty({ directories }: Stoppable): boolean {
  return directories.every((each) => tree(each).every((group) => processes(group).length === 0));
}

/**
 * Stops every process of a group, and of those below it, where it is.
 *
 * @throws {UnsupportedError} if no mounted hierarchy can.
 */
export async function freeze(group: Stoppable, timeoutMs = FREEZE_MS): Promise<void> {
  const { unified, freezer } = group;
  if (unified !== undefined && writeIfThere(`${unified}/cgroup.freeze`, "1", "freeze")) {
    if (await waitUntil(() => event(unified, "frozen") === "1", timeoutMs)) return;
  } else if (freezer !== undefined) {
    const state = `${freezer}/freezer.state`;
    // A task that forked at the wrong moment stays out until the state is written again (freezer-subsystem.rst).
    const frozen = (): boolean => {
      write(state, "FROZEN", "freeze");
      return read(state) === "FROZEN";
    };
    if (await waitUntil(frozen, timeoutMs)) return;
  } else {
    throw new UnsupportedError("a pause", "no hierarchy of cgroup v2 and no freezer of v1 is mounted");
  }
  thaw(group);
  throw new Error(`Cannot freeze "${unified ?? freezer}": a process did not stop in ${timeoutMs} ms`);
}

/** Lets a frozen group go on, and those below it; harmless if it does already. */
export function thaw({ unified, freezer }: Stoppable): void {
  for (const each of unified === undefined ? [] : tree(unified)) {
    writeIfThere(`${each}/cgroup.freeze`, "0", "thaw");
  }
  for (const each of freezer === undefined ? [] : tree(freezer).reverse()) {
    writeIfThere(`${each}/freezer.state`, "THAWED", "thaw");
  }
}

/** Sends SIGKILL to every process of a group and of those below it; they may take a moment to go. */
export async function kill(group: Stoppable): Promise<void> {
  const { unified } = group;
  if (unified !== undefined && writeIfThere(`${unified}/cgroup.kill`, "1", "kill")) {
    // Version 1 keeps those frozen that its own freezer holds.
    thaw({ ...group, unified: undefined });
    if (await waitUntil(() => isEmpty(group), KILL_MS)) return;
  }
  try {
    // The frozen cannot fork: nobody escapes between reading the list and the signal.
    await freeze({ ...group, unified: group.freezer === undefined ? unified : undefined });
  } catch {
    // Whoever calls looks for those left and kills again.
  }
  for (const each of group.directories.flatMap(tree)) signalMembers([each], SIGKILL);
  letDie(group);
}

/**
 * Lets a group go on whose first process was killed, so that all in it end. The freezer of version 1 keeps the killed too,
 * and a group above may be frozen that is somebody else's: then all in it are killed, and leave it for one that is not frozen.
 */
export function letDie(group: Stoppable): void {
  thaw(group);
  const { freezer } = group;
  if (freezer === undefined || read(`${freezer}/freezer.parent_freezing`) !== "1") return;
  let above = freezer;
  while ((read(`${above}/freezer.state`) ?? "THAWED") !== "THAWED") {
    above = above.slice(0, above.lastIndexOf("/"));
  }
  signalMembers(tree(freezer), SIGKILL); // a first process only ends when the others have
  for (const pid of tree(freezer).flatMap(processes)) {
    try {
      if (isKilled(pid)) write(`${above}/cgroup.procs`, String(pid), "free a killed process into");
    } catch (error) {
      if (!(error instanceof SyscallError) || error.errno !== ESRCH) throw error;
    }
  }
}

/** Whether SIGKILL waits for a process, so that it does nothing more but end (proc_pid_status(5)). */
function isKilled(pid: number): boolean {
  const pending = (read(`/proc/${pid}/status`) ?? "").matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm);
  return [...pending].some(([, mask]) => ((BigInt(`0x${mask}`) >> BigInt(SIGKILL - 1)) & 1n) === 1n);
}

/** Sends a signal to every process of a group and of those below it, once. A group that was frozen stays so. */
export async function signalAll(group: Stoppable, signal: number): Promise<void> {
  const wasFrozen = isFrozen(group);
  try {
    await freeze(group);
  } catch {
    // Where it cannot be frozen, or not soon, those that are there now get it.
  }
  signalMembers(group.directories.flatMap(tree), signal);
  if (!wasFrozen || signal === SIGKILL) thaw(group);
}

/** The number of a process may be somebody else's by the time of the signal: a descriptor's process may not. */
function signalMembers(directories: readonly string[], signal: number): void {
  const members = (): number[] => [...new Set(directories.flatMap(processes))];
  const pids = members().filter((pid) => pid > 0);
  for (let first = 0; first < pids.length; first += BATCH) {
    using stack = new DisposableStack();
    const held = new Map<number, Fd>();
    for (const pid of pids.slice(first, first + BATCH)) {
      try {
        held.set(pid, stack.use(openPidFd(pid)));
      } catch (error) {
        if (!(error instanceof SyscallError) || error.errno !== ESRCH) throw error;
      }
    }
    // Only who is a member still, now that its number cannot change hands unseen.
    for (const pid of members()) {
      const fd = held.get(pid);
      if (fd !== undefined) signalPidFd(fd, signal);
    }
  }
}

function event(directory: string, name: string): string | undefined {
  const line = read(`${directory}/cgroup.events`)?.split("\n").find((each) => each.startsWith(`${name} `));
  return line?.slice(name.length + 1);
}
