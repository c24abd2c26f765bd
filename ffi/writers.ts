import type { Fd } from "./fd.ts";
import { libc } from "./libc.ts";

const [F_SETSIG, F_SETLEASE] = [10, 1024];
const [F_RDLCK, F_UNLCK] = [0n, 2n];
/** What does nothing to a process that does not ask for it. */
const SIGURG = 23n;

/**
 * Whether nobody has a file open or mapped for writing now: only then is a lease given (F_SETLEASE in fcntl(2)), which
 * is given back at once. False also where nobody can tell: on other file systems, and for who does not own the file.
 */
export function hasNoWriter(file: Fd): boolean {
  // Whoever opens it for writing in between waits for us, and we are sent a signal, which must not end us.
  if (libc.fcntl(file.raw, F_SETSIG, SIGURG) === -1) return false;
  if (libc.fcntl(file.raw, F_SETLEASE, F_RDLCK) === -1) return false;
  return libc.fcntl(file.raw, F_SETLEASE, F_UNLCK) === 0;
}
