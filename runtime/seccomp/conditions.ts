/** Conditions on the arguments of a call, all 64 bits of them. */

import type { SeccompOperator } from "../spec/words.ts";
import { AND, ARGS_OFFSET, type Code, JUMP_ABOVE, JUMP_EQUAL, JUMP_NOT_BELOW, LOAD, RETURN } from "./code.ts";

/** `args[arg] op a`; for a masked comparison `args[arg] & a` and `b & a` are compared. */
export interface Comparison {
  readonly arg: number;
  readonly op: SeccompOperator;
  readonly a: bigint;
  readonly b: bigint;
}

/** What to return where all comparisons hold. */
export interface Conditional {
  readonly value: number;
  readonly comparisons: readonly Comparison[];
}

/** Where a conditional jump goes: on, behind this comparison (it holds), or behind all of them (one does not). */
type Target = "next" | "holds" | "fails";
type Step = readonly [code: number, k: number, yes?: Target, no?: Target];

/** Returns the value of the first of `conditionals` that holds, else `fallback`. */
export function emitConditions(code: Code, conditionals: readonly Conditional[], fallback: number): void {
  for (const { value, comparisons } of conditionals) {
    const all = comparisons.map((each) => [...steps(each)]);
    const end = all.reduce((sum, each) => sum + each.length, 1);
    let at = 0;
    for (const each of all) {
      const holds = at + each.length;
      for (const [operation, k, yes = "next", no = "next"] of each) {
        at++;
        const skip = { next: 0, holds: holds - at, fails: end - at };
        code.emit(operation, k, skip[yes], skip[no]);
      }
    }
    code.emit(RETURN, value);
  }
  code.emit(RETURN, fallback);
}

function* steps({ arg, op, a, b }: Comparison): Iterable<Step> {
  const low = ARGS_OFFSET + arg * 8;
  const high = low + 4;
  const [aHigh, aLow] = halves(a);
  switch (op) {
    case "SCMP_CMP_EQ":
      yield [LOAD, high];
      yield [JUMP_EQUAL, aHigh, "next", "fails"];
      yield [LOAD, low];
      yield [JUMP_EQUAL, aLow, "next", "fails"];
      return;
    case "SCMP_CMP_NE":
      yield [LOAD, high];
      yield [JUMP_EQUAL, aHigh, "next", "holds"];
      yield [LOAD, low];
      yield [JUMP_EQUAL, aLow, "fails", "next"];
      return;
    case "SCMP_CMP_GT":
    case "SCMP_CMP_GE":
      yield [LOAD, high];
      yield [JUMP_ABOVE, aHigh, "holds", "next"];
      yield [JUMP_EQUAL, aHigh, "next", "fails"];
      yield [LOAD, low];
      yield [op === "SCMP_CMP_GT" ? JUMP_ABOVE : JUMP_NOT_BELOW, aLow, "next", "fails"];
      return;
    case "SCMP_CMP_LT":
    case "SCMP_CMP_LE":
      yield [LOAD, high];
      yield [JUMP_ABOVE, aHigh, "fails", "next"];
      yield [JUMP_EQUAL, aHigh, "next", "holds"];
      yield [LOAD, low];
      yield [op === "SCMP_CMP_LE" ? JUMP_ABOVE : JUMP_NOT_BELOW, aLow, "fails", "next"];
      return;
    case "SCMP_CMP_MASKED_EQ": {
      const [bHigh, bLow] = halves(a & b);
      yield [LOAD, high];
      yield [AND, aHigh];
      yield [JUMP_EQUAL, bHigh, "next", "fails"];
      yield [LOAD, low];
      yield [AND, aLow];
      yield [JUMP_EQUAL, bLow, "next", "fails"];
      return;
    }
    default:
      op satisfies never;
  }
}

function halves(value: bigint): [high: number, low: number] {
  return [Number(BigInt.asUintN(32, value >> 32n)), Number(BigInt.asUintN(32, value))];
}
