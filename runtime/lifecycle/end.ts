import { SyscallError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { placeAt } from "../../ffi/look.ts";
import { openPidFd, signalPidFd } from "../../ffi/process.ts";
import { LifecycleError } from "../errors.ts";
import { EPOLLIN, reactor } from "../launch/reactor.ts";
import { GATE_FD } from "../plan/protocol.ts";
import type { Entry } from "../state/store.ts";

const SIGKILL = 9;
/** How long a killed process may take to end. */
const END_MS = 10_000;

/** Kills a process and waits for its end; `free` lets it die where it was frozen. */
export async function end(fd: Fd, pid: string, free: () => void = () => {}): Promise<void> {
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
export async function endWaiting(entry: Entry): Promise<void> {
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
