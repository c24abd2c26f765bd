/** Asks the kernel for the seccomp filters of a child (ptrace(2)). */

import { attempt } from "./errno.ts";
import { libc } from "./libc.ts";
import { addressOf } from "./memory.ts";

const SYS_ptrace = Deno.build.arch === "x86_64" ? 101n : 117n;
const [DETACH, SEIZE, INTERRUPT, SECCOMP_GET_FILTER] = [17n, 0x4206n, 0x4207n, 0x420cn];
const P_PID = 1;
/** `WEXITED | WSTOPPED | WNOWAIT | __WALL`: its end is left to who waits for that. */
const STOP_OR_END = 4 | 2 | 0x01000000 | 0x40000000;
/** `siginfo_t` (sigaction(2)): signal, errno, code, … */
const SIGINFO = new Int32Array(32);
const CODE_AT = 2;
const CLD_TRAPPED = 4;
const INSTRUCTION_BYTES = 8;
/** BPF_MAXINSNS: no filter has more. */
const MOST_INSTRUCTIONS = 4096;
/** Where the kernel writes a program: as large as one can be, for it is not told how much room there is. */
const PROGRAM = new Uint8Array(MOST_INSTRUCTIONS * INSTRUCTION_BYTES);
const [ENOENT, EINTR] = [2, 4];

/** A child that is stopped as soon as it comes to that, and goes on as if nothing had been when this is disposed of. */
export interface Stopping extends Disposable {
  /**
   * The programs of its filters, the oldest first.
   *
   * @returns `undefined` if it has none, or where the kernel does not tell: it does to who has CAP_SYS_ADMIN and no
   * filter of its own, if it was built with CONFIG_CHECKPOINT_RESTORE.
   */
  filters(): Uint8Array[] | undefined;
}

/** Begins to stop a child: who has other things to do meanwhile need not wait for it. */
export function stopping(pid: number): Stopping {
  const isSeized = ptrace(SEIZE, pid) >= 0n;
  let stopped: boolean | undefined = isSeized && ptrace(INTERRUPT, pid) >= 0n ? undefined : false;
  const hasStopped = (): boolean => stopped ??= waitForStop(pid);
  return {
    filters: () => hasStopped() ? readFilters(pid) : undefined,
    [Symbol.dispose]: () => {
      hasStopped(); // only then it can be let go
      if (isSeized) ptrace(DETACH, pid);
    },
  };
}

function readFilters(pid: number): Uint8Array[] | undefined {
  const filters: Uint8Array[] = [];
  const to = addressOf(PROGRAM);
  for (let index = 0;; index++) {
    const instructions = attempt(() => ptrace(SECCOMP_GET_FILTER, pid, index, to));
    if (instructions < 0) return index > 0 && instructions === -ENOENT ? filters : undefined;
    filters.push(PROGRAM.slice(0, instructions * INSTRUCTION_BYTES));
  }
}

function ptrace(request: bigint, pid: number, address = 0, data = 0n): bigint {
  return libc.syscall(SYS_ptrace, request, BigInt(pid), BigInt(address), data);
}

/** Waits until a child has stopped; false if it has ended instead. */
function waitForStop(pid: number): boolean {
  for (;;) {
    const found = attempt(() => libc.waitid(P_PID, pid, SIGINFO, STOP_OR_END), EINTR);
    if (found !== -EINTR) return found === 0 && SIGINFO[CODE_AT] === CLD_TRAPPED;
  }
}
