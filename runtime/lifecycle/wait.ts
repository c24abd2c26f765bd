import { openPidFd, reap } from "../../ffi/process.ts";
import { EPOLLIN, reactor } from "../launch/reactor.ts";

/**
 * Waits for the end of the first process of a container that this process has created.
 *
 * @param pid What `createContainer` returned.
 * @returns Its exit code, or 128 and the number of the signal that ended it.
 */
export async function waitForContainer(pid: number): Promise<number> {
  using end = openPidFd(pid);
  await reactor.ready(end, EPOLLIN);
  const { code, signal = 0 } = reap(pid, true) ?? {};
  return code ?? 128 + signal;
}
