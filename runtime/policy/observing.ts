import { attempt } from "../../ffi/errno.ts";
import { libc } from "../../ffi/libc.ts";
import { resolveSyscall } from "../../ffi/seccomp.ts";
import type { Host } from "../host/facts.ts";
import type { Filter } from "../plan/context.ts";
import { ARCH_OFFSET, Code, JUMP_EQUAL, LOAD, NR_OFFSET, RETURN } from "../seccomp/code.ts";
import { ACTIONS, FLAG_NEW_LISTENER, FLAGS, NATIVE } from "../seccomp/numbers.ts";
import { NEEDED } from "./needed.ts";

const SYS_seccomp = { x86_64: 317n, aarch64: 277n } as const;
const SECCOMP_SET_MODE_FILTER = 1n;
const EFAULT = 14;

/** Calls that need no answer: every policy allows them, and most calls of a program are these. */
export const QUIET: readonly string[] = NEEDED.filter((name) => name !== "execve");

/** A filter that asks its listener about every call but the quiet ones. */
export function observingFilter({ arch }: Pick<Host, "arch">): Filter {
  const code = new Code();
  const quiet = QUIET.map((name) => resolveSyscall(name, NATIVE[arch]));
  code.emit(LOAD, ARCH_OFFSET);
  code.emit(JUMP_EQUAL, NATIVE[arch], 0, quiet.length + 1); // to the last but one: ask
  code.emit(LOAD, NR_OFFSET);
  for (const [index, number] of quiet.entries()) code.emit(JUMP_EQUAL, number, quiet.length - index);
  code.emit(RETURN, ACTIONS.SCMP_ACT_NOTIFY);
  code.emit(RETURN, ACTIONS.SCMP_ACT_ALLOW);
  return { program: code.bytes(), flags: flags(arch), notify: true };
}

/**
 * A signal does not take a call back that was heard of: mmap would fail with EINTR, which no program expects. Linux
 * has the flag since 5.19, and looks at flags before it looks at the filter, which is missing here.
 */
function flags(arch: Host["arch"]): number {
  const both = FLAG_NEW_LISTENER | FLAGS.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
  const ask = (): bigint => libc.syscall(SYS_seccomp[arch], SECCOMP_SET_MODE_FILTER, BigInt(both), 0n, 0n);
  return attempt(ask, EFAULT) === -EFAULT ? both : FLAG_NEW_LISTENER;
}
