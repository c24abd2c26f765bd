/** Which conditions libseccomp compiles to what they say, and at once. */

import type { Comparison, Conditional } from "./conditions.ts";

/** libseccomp takes time that grows with their square. */
const MAX_CONDITIONALS = 64;
const HALF = 1n << 32n;
const ALL_BITS = (1n << 64n) - 1n;

/**
 * Whether libseccomp 2.5.4 can be trusted with what is asked about the arguments of one call. It makes a tree of the
 * comparisons of the upper and lower halves. One rule by itself it gets right. Several it gets right where
 *
 * - those that answer differently exclude each other: else the first one that was added wins, not the strictest;
 * - all comparisons are of (masked) equality: their halves exclude each other too;
 * - or each rule has one comparison, and the upper half of an inequality is 0: the tree forgets the way back from a
 *   half that it has entered (with `< 2³²` allowed, `== 2` or `< 40` beside it take 40 away);
 * - or one rule with several `==` stands beside others with one `==` or `!=` that answer differently.
 *
 * Several rules with `!=` and something else can keep it busy forever.
 *
 * The tests compare both compilers on such calls.
 */
export function isPlain(conditionals: readonly Conditional[]): boolean {
  if (conditionals.length <= 1) return true;
  if (conditionals.length > MAX_CONDITIONALS) return false;
  if (!hasPlainShape(conditionals)) return false;
  return conditionals.every((one, index) =>
    conditionals.slice(index + 1).every((other) => one.value === other.value || exclude(one, other))
  );
}

function hasPlainShape(conditionals: readonly Conditional[]): boolean {
  if (conditionals.every(({ comparisons }) => comparisons.every(isEquality))) return true;
  const [several, ...more] = conditionals.filter(({ comparisons }) => comparisons.length > 1);
  const single = conditionals.filter(({ comparisons }) => comparisons.length === 1);
  if (several === undefined) return single.every(({ comparisons: [one] }) => isShort(one!));
  if (more.length > 0 || !several.comparisons.every(isEqual)) return false;
  return single.every(({ value, comparisons: [one] }) =>
    value !== several.value && (isEqual(one!) || isUnequal(one!))
  );
}

/** Whether an architecture that has only the lower halves of arguments compares the same. */
export function fitsHalf(conditionals: readonly Conditional[]): boolean {
  return conditionals.every(({ comparisons }) => comparisons.every(({ a, b }) => a < HALF && b < HALF));
}

function isEquality({ op }: Comparison): boolean {
  return op === "SCMP_CMP_EQ" || op === "SCMP_CMP_MASKED_EQ";
}

function isShort(one: Comparison): boolean {
  return isEquality(one) || isUnequal(one) || one.a < HALF;
}

function isEqual({ op }: Comparison): boolean {
  return op === "SCMP_CMP_EQ";
}

function isUnequal({ op }: Comparison): boolean {
  return op === "SCMP_CMP_NE";
}

/** Whether it is plain that the two never hold together. */
function exclude(one: Conditional, other: Conditional): boolean {
  return one.comparisons.some((a) => other.comparisons.some((b) => a.arg === b.arg && contradict(a, b)));
}

function contradict(one: Comparison, other: Comparison): boolean {
  if (other.op === "SCMP_CMP_NE") return one.op === "SCMP_CMP_EQ" && one.a === other.a;
  if (one.op === "SCMP_CMP_NE") return contradict(other, one);
  if (isEquality(one) && isEquality(other)) {
    const [[mask, value], [otherMask, otherValue]] = [bits(one), bits(other)];
    return ((value ^ otherValue) & mask & otherMask) !== 0n;
  }
  const [range, otherRange] = [rangeOf(one), rangeOf(other)];
  if (range[0] > range[1] || otherRange[0] > otherRange[1]) return false; // `< 0` is nothing to libseccomp either
  return range[1] < otherRange[0] || otherRange[1] < range[0];
}

function bits({ op, a, b }: Comparison): [mask: bigint, value: bigint] {
  return op === "SCMP_CMP_EQ" ? [ALL_BITS, a] : [a, a & b];
}

/** The least and the greatest value that may fit; they are the wrong way round if none does. */
function rangeOf({ op, a }: Comparison): [least: bigint, greatest: bigint] {
  switch (op) {
    case "SCMP_CMP_EQ":
      return [a, a];
    case "SCMP_CMP_LT":
      return [0n, a - 1n];
    case "SCMP_CMP_LE":
      return [0n, a];
    case "SCMP_CMP_GE":
      return [a, ALL_BITS];
    case "SCMP_CMP_GT":
      return [a + 1n, ALL_BITS];
    case "SCMP_CMP_NE":
    case "SCMP_CMP_MASKED_EQ":
      return [0n, ALL_BITS];
    default:
      return op satisfies never;
  }
}
