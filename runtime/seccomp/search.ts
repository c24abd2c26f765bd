/** The part of a filter that finds a call by its number: a binary search, where libseccomp compares one by one. */

import { ARCH_OFFSET, Code, JUMP_BITS, JUMP_EQUAL, JUMP_NOT_BELOW, LOAD, NR_OFFSET, RETURN } from "./code.ts";
import { type Conditional, emitConditions } from "./conditions.ts";
import { ARCHES, auditArch, X32_BIT } from "./numbers.ts";

/** One architecture, in libseccomp's sense: x32 is one. */
export interface Section {
  /** `SCMP_ARCH_*` */
  readonly token: number;
  /** What to return for calls by their number; the same conditions are the same object. */
  readonly verdicts: ReadonlyMap<number, Verdict>;
  /** The last number that anything is known about: calls above it fail with ENOSYS. */
  readonly last?: number | undefined;
}

/** What is asked about the calls of one number: the first that holds, else the default. */
export type Verdict = number | readonly Conditional[];

const ENOSYS = 0x00050000 + 38;
/** Conditional jumps have 8 bits for their distance. */
const MAX_SKIP = 255;

/** A run of numbers with the same verdict, up to where the next one begins; no verdict: the program decides. */
interface Run {
  readonly from: number;
  readonly verdict: Verdict | undefined;
}

/**
 * `program` with the sections' verdicts before it: a call that none of them knows, and every call of another
 * architecture, goes on to `program`. `fallback` is for calls whose conditions do not hold.
 */
export function withSearch(
  sections: readonly Section[],
  fallback: number,
  program: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  const needed = sections.filter(({ verdicts, last }) => verdicts.size > 0 || last !== undefined);
  if (needed.length === 0) return program;
  const code = new Code();
  const asked = new Map<readonly Conditional[], (() => void)[]>();
  const ask: Ask = (conditionals) => {
    asked.set(conditionals, [...asked.get(conditionals) ?? [], code.emitJump()]);
  };
  code.emit(LOAD, ARCH_OFFSET);
  for (const arch of new Set(needed.map(({ token }) => auditArch(token)))) {
    const parts = needed.filter(({ token }) => auditArch(token) === arch);
    code.emit(JUMP_EQUAL, arch, 1);
    const land = code.emitJump();
    code.emit(LOAD, NR_OFFSET);
    if (arch === ARCHES.SCMP_ARCH_X86_64) x86(code, parts, ask);
    else search(code, runs(parts[0]!), ask);
    land();
  }
  code.emitGoOn(); // calls of other architectures
  for (const [conditionals, jumps] of asked) {
    for (const land of jumps) land();
    emitConditions(code, conditionals, fallback);
  }
  return code.before(program);
}

/** x86-64 and x32 calls arrive under one name, told apart by a bit. */
function x86(code: Code, parts: readonly Section[], ask: Ask): void {
  const side = (token: number): void => {
    const part = parts.find((each) => each.token === token);
    if (part) search(code, runs(part), ask);
    else code.emitGoOn();
  };
  code.emit(JUMP_BITS, X32_BIT, 0, 1);
  const land = code.emitJump();
  side(ARCHES.SCMP_ARCH_X86_64);
  land();
  side(ARCHES.SCMP_ARCH_X32);
}

/** The section as runs from 0 upwards. */
function runs({ verdicts, last }: Section): Run[] {
  const found: Run[] = [{ from: 0, verdict: undefined }];
  const add = (from: number, verdict: Verdict | undefined): void => {
    if (found.at(-1)!.from === from) found.pop();
    if (found.length === 0 || found.at(-1)!.verdict !== verdict) found.push({ from, verdict });
  };
  // Sorted without a function of ours: that would be most of the work.
  for (const number of Uint32Array.from(verdicts.keys()).sort()) {
    add(number, verdicts.get(number));
    add(number + 1, undefined);
  }
  if (last !== undefined) add(last + 1, ENOSYS);
  return found;
}

type Ask = (conditionals: readonly Conditional[]) => void;

/** Finds the run of a number among those from `first` up to `end`. */
function search(
  code: Code,
  runs: readonly Run[],
  ask: Ask,
  first: number = 0,
  end: number = runs.length,
): void {
  if (end - first === 1) {
    const { verdict } = runs[first]!;
    if (verdict === undefined) code.emitGoOn();
    else if (typeof verdict === "number") code.emit(RETURN, verdict);
    else ask(verdict);
    return;
  }
  const middle = (first + end) >> 1;
  const { from } = runs[middle]!;
  const below = size(middle - first);
  if (below <= MAX_SKIP) {
    code.emit(JUMP_NOT_BELOW, from, below);
    search(code, runs, ask, first, middle);
  } else {
    code.emit(JUMP_NOT_BELOW, from, 0, 1);
    const land = code.emitJump();
    search(code, runs, ask, first, middle);
    land();
  }
  search(code, runs, ask, middle, end);
}

/** How many instructions {@linkcode search} makes of `count` runs. */
function size(count: number): number {
  if (count === 1) return 1;
  const below = size(count >> 1);
  return below + size(count - (count >> 1)) + (below <= MAX_SKIP ? 1 : 2);
}
