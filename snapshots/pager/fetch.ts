import { saysEnded } from "../../ffi/ended.ts";
import { signalPidFd } from "../../ffi/process.ts";
import { LifecycleError } from "../../runtime/errors.ts";
import { hold, isAlive } from "../../runtime/state/liveness.ts";
import type { ProcessName } from "../../runtime/state/record.ts";
import type { Entry } from "../../runtime/state/store.ts";

/** In the directory of a container: the pagers that it was restored with. */
export const PAGERS = "pagers.json";
const SIGUSR1 = 10;
const WAIT_MS = 30_000;
const STEP_MS = 5;
/** A mapping whose missing pages somebody brings in (proc_pid_smaps(5)). */
const MISSING = /^VmFlags:.* um( |$)/m;

/**
 * Has the pagers of a container bring in all of its memory, after which there are none: to CRIU, pages that are not there
 * are zeros.
 *
 * @param members Its processes.
 * @throws {LifecycleError} if that takes too long.
 */
export async function fetchAll(entry: Entry, members: () => readonly number[]): Promise<void> {
  const names = pagersOf(entry);
  if (names.length === 0) return;
  for (const name of names) {
    using pager = hold(name);
    if (pager) signalPidFd(pager, SIGUSR1);
  }
  // Those of processes that they have begotten end by themselves.
  for (const end = performance.now() + WAIT_MS; names.some(isAlive) || members().some(isMissing);) {
    if (performance.now() > end) {
      throw new LifecycleError("Cannot checkpoint it: its memory could not be brought in; try again later");
    }
    await pause(STEP_MS);
  }
  Deno.removeSync(`${entry.path}/${PAGERS}`);
}

function pagersOf(entry: Entry): readonly ProcessName[] {
  try {
    return JSON.parse(Deno.readTextFileSync(`${entry.path}/${PAGERS}`));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Whether a process has memory that was not brought in yet. */
function isMissing(pid: number): boolean {
  try {
    return MISSING.test(Deno.readTextFileSync(`/proc/${pid}/smaps`));
  } catch (error) {
    if (saysEnded(error)) return false;
    throw error;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
