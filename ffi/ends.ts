import { check } from "./errno.ts";
import { libc } from "./libc.ts";

const SIGCHLD = 17;
const SIG_IGN = 1n;
/** `struct sigaction` of glibc begins with the handler. */
const SIGACTION_BYTES = 152;

/**
 * Has the kernel keep how children end until somebody takes it: a caller that ignores SIGCHLD leaves it ignored to us, and
 * then there is nothing to wait for, and a pid is soon somebody else's (sigaction(2)).
 */
export function keepEnds(): void {
  const action = new BigUint64Array(SIGACTION_BYTES / 8);
  check(libc.sigaction(SIGCHLD, null, action), "look how the ends of children are taken");
  if (action[0] !== SIG_IGN) return;
  check(libc.sigaction(SIGCHLD, new BigUint64Array(SIGACTION_BYTES / 8), null), "take the ends of children");
}
