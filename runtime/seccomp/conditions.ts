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

/** A comparison that also holds for other values, each alone, whose upper halves are the same. */
interface Choice extends Comparison {
  readonly others: readonly bigint[];
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
  for (const { value, choices } of grouped(conditionals)) {
    const all = choices.map((each) => [...steps(each)]);
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

/** What has one answer, and is asked about the same bits. */
interface Group {
  readonly value: number;
  readonly choices: readonly Choice[];
}

const ALL_OF_HALF = 0xffffffff;
/** More values than jumps of 8 bits reach over are asked about in several groups. */
const MOST_VALUES = 16;

/** Neighbours with one answer that differ in one value are asked about together. */
function grouped(conditionals: readonly Conditional[]): Group[] {
  let groups = conditionals.map(({ value, comparisons }): Group => ({
    value,
    choices: comparisons.map((each) => ({ ...each, others: [] })),
  }));
  for (let before = Infinity; groups.length < before;) {
    before = groups.length;
    groups = groups.reduce<Group[]>((sofar, each) => {
      const both = sofar.length > 0 ? together(sofar.at(-1)!, each) : undefined;
      return both ? sofar.with(-1, both) : [...sofar, each];
    }, []);
  }
  return groups;
}

function together(one: Group, other: Group): Group | undefined {
  if (one.value !== other.value || one.choices.length !== other.choices.length) return undefined;
  const different = one.choices.flatMap((each, at) => isSame(each, other.choices[at]!) ? [] : at);
  const [at = -1, ...more] = different;
  const [first, second] = [one.choices[at], other.choices[at]];
  if (more.length > 0 || !first || !second || !isOfOneKind(first, second)) return undefined;
  const others = [...first.others, valueOf(second), ...second.others];
  return others.length < MOST_VALUES
    ? { value: one.value, choices: one.choices.with(at, { ...first, others }) }
    : undefined;
}

function isSame(one: Choice, other: Choice): boolean {
  return one.arg === other.arg && one.op === other.op && one.a === other.a && one.b === other.b &&
    one.others.join() === other.others.join();
}

/** Whether both compare the same bits for equality, with the same upper half. */
function isOfOneKind(one: Choice, other: Choice): boolean {
  if (one.arg !== other.arg || one.op !== other.op || valueOf(one) >> 32n !== valueOf(other) >> 32n) {
    return false;
  }
  return one.op === "SCMP_CMP_EQ" || (one.op === "SCMP_CMP_MASKED_EQ" && one.a === other.a);
}

/** What the bits must be that are compared. */
function valueOf({ op, a, b }: Comparison): bigint {
  return op === "SCMP_CMP_MASKED_EQ" ? a & b : a;
}

/** Holds if the lower half, as far as it is loaded, is one of these. */
function* oneOf(values: readonly bigint[]): Iterable<Step> {
  for (const [index, value] of values.entries()) {
    const [, low] = halves(value);
    yield index === values.length - 1
      ? [JUMP_EQUAL, low, "next", "fails"]
      : [JUMP_EQUAL, low, "holds", "next"];
  }
}

function* steps({ arg, op, a, b, others }: Choice): Iterable<Step> {
  const low = ARGS_OFFSET + arg * 8;
  const high = low + 4;
  const [aHigh, aLow] = halves(a);
  switch (op) {
    case "SCMP_CMP_EQ":
      yield [LOAD, high];
      yield [JUMP_EQUAL, aHigh, "next", "fails"];
      yield [LOAD, low];
      yield* oneOf([a, ...others]);
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
      const [bHigh] = halves(a & b);
      if (aHigh !== 0) {
        yield [LOAD, high];
        yield [AND, aHigh];
        yield [JUMP_EQUAL, bHigh, "next", "fails"];
      }
      yield [LOAD, low];
      if (aLow !== ALL_OF_HALF) yield [AND, aLow];
      yield* oneOf([a & b, ...others]);
      return;
    }
    default:
      op satisfies never;
  }
}

function halves(value: bigint): [high: number, low: number] {
  return [Number(BigInt.asUintN(32, value >> 32n)), Number(BigInt.asUintN(32, value))];
}
