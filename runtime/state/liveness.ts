import { saysEnded } from "../../ffi/ended.ts";
import { SyscallError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { openPidFd } from "../../ffi/process.ts";
import type { ProcessName } from "./record.ts";

/** Where the state and the start of a process stand in /proc/<pid>/stat, counted behind its name (proc_pid_stat(5)). */
const [STATE, STARTTIME] = [0, 19];
const [ESRCH, EINVAL] = [3, 22];

let known: string | undefined;

/** What tells this boot from others. */
export function bootId(): string {
  return known ??= Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim();
}

function stat(pid: number): string[] | undefined {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch (error) {
    // Whatever else went wrong does not tell that it has ended.
    if (saysEnded(error)) return undefined;
    throw error;
  }
}

/** The name of a process that lives, or is not yet waited for. @throws {Error} if there is none. */
export function nameProcess(pid: number): ProcessName {
  const start = stat(pid)?.[STARTTIME];
  if (start === undefined) throw new Error(`Cannot find process ${pid}: it has ended`);
  return { pid, startTicks: Number(start), bootId: bootId() };
}

/** Whether the very process lives: one that has ended and that nobody has waited for does not. */
export function isAlive({ pid, startTicks, bootId: boot }: ProcessName): boolean {
  const words = stat(pid);
  if (words === undefined || Number(words[STARTTIME]) !== startTicks || boot !== bootId()) return false;
  return !["Z", "X", "x"].includes(words[STATE]!);
}

/** Whether both are names of the very same process. */
export function isSame(one: ProcessName, other: ProcessName): boolean {
  return one.pid === other.pid && one.startTicks === other.startTicks && one.bootId === other.bootId;
}

/**
 * Holds the very process, so that its number cannot become another's before a signal is sent; `undefined` if it has
 * ended.
 */
export function hold(name: ProcessName): Fd | undefined {
  try {
    const fd = openPidFd(name.pid);
    if (isAlive(name)) return fd; // looked at when its number could no more change hands
    fd[Symbol.dispose]();
  } catch (error) {
    if (!(error instanceof SyscallError) || ![ESRCH, EINVAL].includes(error.errno)) throw error;
  }
  return undefined;
}
