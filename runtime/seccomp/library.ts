/** What libseccomp compiles. */

import { ATTRIBUTE, COMPARE, ScmpFilter } from "../../ffi/seccomp.ts";
import type { Arch } from "../host/facts.ts";
import type { SeccompOperator } from "../spec/words.ts";
import { ACTIONS, ARCHES } from "./numbers.ts";
import { isMultiplexed } from "./multiplexed.ts";
import { fitsHalf, isPlain } from "./plain.ts";
import { type Call, UNKNOWN } from "./rules.ts";
import type { Said } from "./search.ts";

/** What is said about a call. */
export interface LibraryRule {
  /** The number that libseccomp knows it by: on the architecture that it was built for. */
  readonly number: number;
  readonly verdict: Said;
}

/** The architectures whose calls come to a kernel; the rest of a list is never run, and only costs time. */
export const FAMILY: Readonly<Record<Arch, readonly number[]>> = {
  x86_64: [ARCHES.SCMP_ARCH_X86_64, ARCHES.SCMP_ARCH_X86, ARCHES.SCMP_ARCH_X32],
  aarch64: [ARCHES.SCMP_ARCH_AARCH64, ARCHES.SCMP_ARCH_ARM],
};

/** A binary search for the number; 1 would be a row of comparisons. */
const OPTIMIZE_TREE = 2;
const LAST_ERRNO = 4095;

const OPERATORS: Readonly<Record<SeccompOperator, number>> = {
  SCMP_CMP_NE: COMPARE.NE,
  SCMP_CMP_LT: COMPARE.LT,
  SCMP_CMP_LE: COMPARE.LE,
  SCMP_CMP_EQ: COMPARE.EQ,
  SCMP_CMP_GE: COMPARE.GE,
  SCMP_CMP_GT: COMPARE.GT,
  SCMP_CMP_MASKED_EQ: COMPARE.MASKED_EQ,
};

/** Whether libseccomp takes what a filter is to return: an errno it takes below the kernel's last one, 4095. */
export function isLibraryValue(value: number): boolean {
  return value < ACTIONS.SCMP_ACT_ERRNO + LAST_ERRNO || value >= ACTIONS.SCMP_ACT_ERRNO + 0x10000;
}

/**
 * Whether libseccomp can be told what is said about a call, and gets it right. It knows no younger calls than itself,
 * and one name for a number. On i386 it lets all of a call through socketcall where only some arguments are allowed.
 * On 32-bit architectures it looks at the lower half of an argument; x32, which is one to it, has both.
 */
export function isForLibrary(
  { number, names }: Call,
  verdict: Said,
  token: number,
): boolean {
  if (number === UNKNOWN || names.length > 1) return false;
  if (token === ARCHES.SCMP_ARCH_X86 && isMultiplexed(names[0]!)) return false;
  if (typeof verdict === "number") return isLibraryValue(verdict);
  if (!verdict.every(({ value }) => isLibraryValue(value))) return false;
  if (!isPlain(verdict)) return false;
  switch (token) {
    case ARCHES.SCMP_ARCH_X32:
      return false;
    case ARCHES.SCMP_ARCH_X86:
    case ARCHES.SCMP_ARCH_ARM:
      return fitsHalf(verdict);
    default:
      return true;
  }
}

/**
 * The program that libseccomp makes for the calls of one architecture; those without a rule get `fallback`.
 *
 * @param rules By the number of the call on that architecture.
 * @throws {SyscallError} if libseccomp refuses.
 */
export function compileByLibrary(
  token: number,
  rules: ReadonlyMap<number, LibraryRule>,
  fallback: number,
): Uint8Array<ArrayBuffer> {
  using filter = new ScmpFilter(fallback);
  filter.set(ATTRIBUTE.ACT_BADARCH, ACTIONS.SCMP_ACT_KILL_PROCESS);
  filter.set(ATTRIBUTE.CTL_OPTIMIZE, OPTIMIZE_TREE);
  filter.only(token);
  // It keeps them in order, in a list that it searches from the lowest: from the highest, half the time.
  for (const at of Uint32Array.from(rules.keys()).sort().reverse()) {
    const { number, verdict } = rules.get(at)!;
    if (typeof verdict === "number") filter.addRule(verdict, number, []);
    else {for (const { value, comparisons } of verdict) {
        filter.addRule(value, number, comparisons.map(argument));
      }}
  }
  return filter.program();
}

function argument<Rest extends { readonly op: SeccompOperator }>({ op, ...rest }: Rest): Omit<Rest, "op"> & {
  readonly op: number;
} {
  return { ...rest, op: OPERATORS[op] };
}
