import { saysEnded } from "../../ffi/ended.ts";
import { SyscallError } from "../../ffi/errno.ts";
import { signalPidFd } from "../../ffi/process.ts";
import { LifecycleError, UnsupportedError, UsageError } from "../errors.ts";
import { hold } from "../state/liveness.ts";
import { checkMove } from "../state/moves.ts";
import { fateOnInit, type Signal, SIGNALS } from "../supervise/signals.ts";
import { type ChoiceOptions, findContainer, groupOf, type Known, specOf } from "./container.ts";
import { statusOf } from "./status.ts";

const EINVAL = 22;

/** Options of {@linkcode killContainer}. */
export interface KillOptions extends ChoiceOptions {
  /** Every process of the container gets it, not only the first. */
  readonly all?: boolean;
}

/**
 * Sends a signal to a container.
 *
 * @param signal Its name, with or without `SIG`, or its number; 0 only asks.
 * @throws {LifecycleError} if the container has ended, or the kernel has no such signal.
 * @throws {UsageError} if there is no such signal.
 */
export async function killContainer(
  id: string,
  signal: string,
  { all = false, ...options }: KillOptions = {},
): Promise<void> {
  const number = numberOf(signal);
  using container = findContainer(id, options);
  const status = statusOf(container);
  const group = container.record.groups.length > 0 ? groupOf(container) : undefined;
  if (all) {
    if (status === "stopped" && !group) return;
    if (!group) {
      throw new UnsupportedError(
        "kill --all",
        "the container has no cgroup to find its processes by",
        "leave --all out",
      );
    }
    await group.signal(number);
    return;
  }
  if (number === SIGNALS.SIGKILL && group && group.members.length > 0 && await sharesPids(container)) {
    await group.signal(number); // as runc: otherwise the first process would leave the others behind
    group.letDie();
    return;
  }
  checkMove("kill", status, id);
  using fd = hold(container.record.init!);
  if (!fd) throw new LifecycleError("container not running");
  // Before it is the program it handles nothing, and the kernel would drop what ends other processes.
  const ends = status === "created" && isLost(container.record.init!.pid, number);
  const sent = ends ? SIGNALS.SIGKILL : number;
  try {
    signalPidFd(fd, sent);
  } catch (error) {
    if (!(error instanceof SyscallError) || error.errno !== EINVAL) throw error;
    throw new LifecycleError("unable to signal init: invalid argument");
  }
  if (sent === SIGNALS.SIGKILL) group?.letDie(); // the freezer of cgroup v1 would keep it
}

/** Whether the container has no pid namespace of its own, whose first process takes all others with it. */
async function sharesPids(container: Known): Promise<boolean> {
  const { linux } = await specOf(container);
  return !linux?.namespaces?.some(({ type, path }) => type === "pid" && path === undefined);
}

function isLost(pid: number, signal: number): boolean {
  try {
    return fateOnInit(signal, Deno.readTextFileSync(`/proc/${pid}/status`), "") === "lost";
  } catch (error) {
    if (saysEnded(error)) return false; // just now
    throw error;
  }
}

function numberOf(signal: string): number {
  if (/^\d+$/.test(signal)) return Number(signal);
  const word = signal.toUpperCase();
  const number: number | undefined = SIGNALS[(word.startsWith("SIG") ? word : `SIG${word}`) as Signal];
  if (number === undefined) throw new UsageError(`unknown signal ${JSON.stringify(signal)}`);
  return number;
}
