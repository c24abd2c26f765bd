/** A whole filter: the architecture, then a binary search for the number, then conditions and finished programs. */

import { ARCH_OFFSET, Code, JUMP_BITS, JUMP_EQUAL, JUMP_NOT_BELOW, LOAD, NR_OFFSET, RETURN } from "./code.ts";
import { type Conditional, emitConditions } from "./conditions.ts";
import { ACTIONS, ARCHES, auditArch, X32_BIT } from "./numbers.ts";

/** What is said about a call: what to return, or what to ask about it: the first that holds counts, else the default. */
export type Said = number | readonly Conditional[];
/** What decides over a call; a program finds out by itself. */
export type Verdict = Said | Uint8Array<ArrayBuffer>;

/** One architecture, in libseccomp's sense: x32 is one. */
export interface Section {
  /** `SCMP_ARCH_*` */
  readonly token: number;
  /** By the number of the call; the same conditions are the same object. */
  readonly verdicts: ReadonlyMap<number, Said>;
  /** The last number that anything is known about: calls above it fail with ENOSYS. */
  readonly last?: number | undefined;
  /** About the calls up to there that have no verdict; without it the default. */
  readonly rest?: Verdict | undefined;
}

const ENOSYS = ACTIONS.SCMP_ACT_ERRNO + 38;
const MINUS_ONE = 0xffffffff;
/** Conditional jumps have 8 bits for their distance. */
const MAX_SKIP = 255;

/** A run of numbers with the same verdict, up to where the next one begins. */
interface Run {
  readonly from: number;
  readonly verdict: Verdict;
}

/**
 * The filter as `struct sock_filter[]`. Calls that no section decides get `fallback`; those of architectures without
 * a section kill the process.
 */
export function assembleFilter(sections: readonly Section[], fallback: number): Uint8Array<ArrayBuffer> {
  const code = new Code();
  const asked = new Map<Exclude<Verdict, number>, (() => void)[]>();
  const emitVerdict = (verdict: Verdict): void => {
    if (typeof verdict === "number") code.emit(RETURN, verdict);
    else asked.set(verdict, [...asked.get(verdict) ?? [], code.emitJump()]);
  };
  const emitSection = (section: Section): void =>
    search(code, runs(section, section.rest ?? fallback), emitVerdict);
  code.emit(LOAD, ARCH_OFFSET);
  for (const arch of new Set(sections.map(({ token }) => auditArch(token)))) {
    const parts = sections.filter(({ token }) => auditArch(token) === arch);
    code.emit(JUMP_EQUAL, arch, 1);
    const other = code.emitJump();
    code.emit(LOAD, NR_OFFSET);
    if (arch === ARCHES.SCMP_ARCH_X86_64) emitX86(code, parts, { fallback, emitSection });
    else emitSection(parts[0]!);
    other();
  }
  code.emit(RETURN, ACTIONS.SCMP_ACT_KILL_PROCESS);
  for (const [verdict, jumps] of asked) {
    for (const land of jumps) land();
    if (verdict instanceof Uint8Array) code.append(verdict);
    else emitConditions(code, verdict, fallback);
  }
  return code.bytes();
}

/** x86-64 and x32 calls arrive under one name, told apart by a bit. */
function emitX86(
  code: Code,
  parts: readonly Section[],
  { fallback, emitSection }: { fallback: number; emitSection: (section: Section) => void },
): void {
  const [own, x32] = [ARCHES.SCMP_ARCH_X86_64, ARCHES.SCMP_ARCH_X32].map((token) =>
    parts.find((each) => each.token === token)
  );
  code.emit(JUMP_BITS, X32_BIT, 1);
  const toOwn = code.emitJump();
  if (x32) emitSection(x32);
  else {
    // The call that a tracer has taken away is no x32 call.
    code.emit(JUMP_EQUAL, MINUS_ONE, 0, 1);
    code.emit(RETURN, fallback);
    code.emit(RETURN, ACTIONS.SCMP_ACT_KILL_PROCESS);
  }
  toOwn();
  if (own) emitSection(own);
  else code.emit(RETURN, ACTIONS.SCMP_ACT_KILL_PROCESS);
}

/** The section as runs from 0 upwards. */
function runs({ verdicts, last }: Section, rest: Verdict): Run[] {
  const found: Run[] = [{ from: 0, verdict: rest }];
  const add = (from: number, verdict: Verdict): void => {
    if (found.at(-1)!.from === from) found.pop();
    if (found.length === 0 || found.at(-1)!.verdict !== verdict) found.push({ from, verdict });
  };
  // Sorted without a function of ours: that would be most of the work.
  for (const number of Uint32Array.from(verdicts.keys()).sort()) {
    add(number, verdicts.get(number)!);
    add(number + 1, rest);
  }
  if (last !== undefined) add(last + 1, ENOSYS);
  return found;
}

/** Finds the run of a number among those from `first` up to `end`. */
function search(
  code: Code,
  runs: readonly Run[],
  emitVerdict: (verdict: Verdict) => void,
  first: number = 0,
  end: number = runs.length,
): void {
  if (end - first === 1) return emitVerdict(runs[first]!.verdict);
  if (isShort(runs, first, end)) return searchShort(code, runs, emitVerdict, first, end);
  const middle = (first + end) >> 1;
  const { from } = runs[middle]!;
  const below = size(runs, first, middle);
  if (below <= MAX_SKIP) {
    code.emit(JUMP_NOT_BELOW, from, below);
    search(code, runs, emitVerdict, first, middle);
  } else {
    code.emit(JUMP_NOT_BELOW, from, 0, 1);
    const land = code.emitJump();
    search(code, runs, emitVerdict, first, middle);
    land();
  }
  search(code, runs, emitVerdict, middle, end);
}

/** Where all comparisons reach all answers, each answer stands behind them once: half the instructions. */
function searchShort(
  code: Code,
  runs: readonly Run[],
  emitVerdict: (verdict: Verdict) => void,
  first: number,
  end: number,
): void {
  const comparisons = end - first - 1;
  const answers = new Map<Verdict, number>();
  for (const verdict of verdictsOf(runs, first, end)) answers.set(verdict, comparisons + answers.size);
  let at = 0;
  const compare = (first: number, end: number): void => {
    const middle = (first + end) >> 1;
    const next = ++at;
    const place = (from: number, to: number, comparison: number): number =>
      (to - from === 1 ? answers.get(runs[from]!.verdict)! : comparison) - next;
    const above = place(middle, end, next + middle - first - 1);
    code.emit(JUMP_NOT_BELOW, runs[middle]!.from, above, place(first, middle, next));
    if (middle - first > 1) compare(first, middle);
    if (end - middle > 1) compare(middle, end);
  };
  compare(first, end);
  for (const verdict of answers.keys()) emitVerdict(verdict);
}

function verdictsOf(runs: readonly Run[], first: number, end: number): Set<Verdict> {
  return new Set(runs.slice(first, end).map(({ verdict }) => verdict));
}

function shortSize(runs: readonly Run[], first: number, end: number): number {
  return end - first - 1 + verdictsOf(runs, first, end).size;
}

function isShort(runs: readonly Run[], first: number, end: number): boolean {
  return shortSize(runs, first, end) <= MAX_SKIP;
}

/** How many instructions {@linkcode search} makes. */
function size(runs: readonly Run[], first: number, end: number): number {
  if (end - first === 1) return 1;
  if (isShort(runs, first, end)) return shortSize(runs, first, end);
  const middle = (first + end) >> 1;
  const below = size(runs, first, middle);
  return below + size(runs, middle, end) + (below <= MAX_SKIP ? 1 : 2);
}
