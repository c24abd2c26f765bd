import { unless } from "./errno.ts";
import { libc } from "./libc.ts";

const EINTR = 4;

/**
 * Waits for one descriptor, and through signals: poll(2) is not begun anew when one was caught, whatever was asked for.
 *
 * @param poll `struct pollfd`: the descriptor, then events in the lower half; what there is comes into the upper half.
 * @returns Whether there is anything before `timeoutMs` are over.
 * @throws {SyscallError} which says what was being done.
 */
export function pollOne(poll: Int32Array<ArrayBuffer>, timeoutMs: number, doing: string): boolean {
  const end = performance.now() + timeoutMs;
  const wait = (): number => libc.poll(poll, 1n, Math.max(0, Math.ceil(end - performance.now())));
  for (;;) {
    const found = unless([EINTR], wait, doing);
    if (found !== undefined) return found > 0;
  }
}
