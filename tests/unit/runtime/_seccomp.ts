/** What the tests of seccomp filters have in common. */

import { compileFilter } from "../../../runtime/seccomp.ts";
import type { Seccomp, SeccompArg, SeccompRule } from "../../../runtime/spec/linux.ts";
import type { SeccompAction } from "../../../runtime/spec/words.ts";
import { type Call, evaluate, verdict } from "../../helpers/bpf.ts";

export const X86_64 = { arch: "x86_64" } as const;
/** Numbers on x86-64 (syscall_64.tbl). */
export const NR = {
  read: 0,
  write: 1,
  ioctl: 16,
  socket: 41,
  clone: 56,
  mkdir: 83,
  personality: 135,
  bpf: 321,
  clone3: 435,
} as const;
export const X32 = 0x40000000;
export const ENOSYS = "ERRNO(38)";

/** What the filter answers to a call on x86-64. */
export function says(seccomp: Seccomp, call: Call): string {
  return verdict(evaluate(compileFilter(seccomp, X86_64).program, call));
}

export function rule(
  names: string | readonly string[],
  action: SeccompAction,
  more: Partial<SeccompRule> = {},
): SeccompRule {
  return { names: typeof names === "string" ? [names] : names, action, ...more };
}

export function arg(
  index: number,
  op: SeccompArg["op"],
  value: number | bigint,
  valueTwo?: number | bigint,
): SeccompArg {
  return { index, op, value, ...(valueTwo !== undefined && { valueTwo }) };
}

/** The same numbers for the same seed (xorshift32). */
export function random(seed: number): (below: number) => number {
  let state = seed * 0x9e3779b1 | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}
