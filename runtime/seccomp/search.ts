/** The part of a filter that decides by number alone: a binary search, where libseccomp compares one by one. */

import { ARCHES, auditArch, X32_BIT } from "./numbers.ts";

/** One architecture, in libseccomp's sense: x32 is one. */
export interface Section {
  /** `SCMP_ARCH_*` */
  readonly token: number;
  /** What to return for calls by their number, whatever their arguments. */
  readonly verdicts: ReadonlyMap<number, number>;
  /** The last number that anything is known about: calls above it fail with ENOSYS. */
  readonly last?: number | undefined;
}

const LOAD = 0x20; // BPF_LD | BPF_W | BPF_ABS
const [JUMP, JUMP_EQUAL, JUMP_NOT_BELOW, JUMP_BITS] = [0x05, 0x15, 0x35, 0x45];
const RETURN = 0x06; // BPF_RET | BPF_K
const [NR_OFFSET, ARCH_OFFSET] = [0, 4]; // in struct seccomp_data
const ENOSYS = 0x00050000 + 38;
/** Conditional jumps have 8 bits for their distance. */
const MAX_SKIP = 255;

/** `struct sock_filter[]` in the making: two words each, {code, jt, jf} and k. */
class Code {
  readonly words: number[] = [];
  readonly #open: number[] = [];

  emit(code: number, k: number, yes: number = 0, no: number = 0): void {
    this.words.push(code | (yes << 16) | (no << 24), k);
  }

  /** A jump to what will follow the whole code. */
  emitGoOn(): void {
    this.#open.push(this.words.length);
    this.emit(JUMP, 0);
  }

  /** A jump over what `body` emits. */
  emitSkip(body: () => void): void {
    const at = this.words.length;
    this.emit(JUMP, 0);
    body();
    this.words[at + 1] = (this.words.length - at) / 2 - 1;
  }

  before(program: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const { words } = this;
    for (const at of this.#open) words[at + 1] = (words.length - at) / 2 - 1;
    const whole = new Uint8Array(words.length * 4 + program.length);
    new Uint32Array(whole.buffer, 0, words.length).set(words); // both machines are little-endian
    whole.set(program, words.length * 4);
    return whole;
  }
}

/** A run of numbers with the same verdict, up to where the next one begins; no verdict: the program decides. */
interface Run {
  readonly from: number;
  readonly verdict: number | undefined;
}

/**
 * `program` with the sections' verdicts before it: a call that none of them decides, and every call of another
 * architecture, goes on to `program`.
 */
export function withSearch(
  sections: readonly Section[],
  program: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  const needed = sections.filter(({ verdicts, last }) => verdicts.size > 0 || last !== undefined);
  if (needed.length === 0) return program;
  const code = new Code();
  code.emit(LOAD, ARCH_OFFSET);
  for (const arch of new Set(needed.map(({ token }) => auditArch(token)))) {
    const parts = needed.filter(({ token }) => auditArch(token) === arch);
    code.emit(JUMP_EQUAL, arch, 1);
    code.emitSkip(() => {
      code.emit(LOAD, NR_OFFSET);
      if (arch === ARCHES.SCMP_ARCH_X86_64) x86(code, parts);
      else search(code, runs(parts[0]!));
    });
  }
  return code.before(program);
}

/** x86-64 and x32 calls arrive under one name, told apart by a bit. */
function x86(code: Code, parts: readonly Section[]): void {
  const side = (token: number): void => {
    const part = parts.find((each) => each.token === token);
    if (part) search(code, runs(part));
    else code.emitGoOn();
  };
  code.emit(JUMP_BITS, X32_BIT, 0, 1);
  code.emitSkip(() => side(ARCHES.SCMP_ARCH_X86_64));
  side(ARCHES.SCMP_ARCH_X32);
}

/** The section as runs from 0 upwards. */
function runs({ verdicts, last }: Section): Run[] {
  const found: Run[] = [{ from: 0, verdict: undefined }];
  const add = (from: number, verdict: number | undefined): void => {
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

/** Finds the run of a number among those from `first` up to `end`. */
function search(code: Code, runs: readonly Run[], first: number = 0, end: number = runs.length): void {
  if (end - first === 1) {
    const { verdict } = runs[first]!;
    if (verdict === undefined) code.emitGoOn();
    else code.emit(RETURN, verdict);
    return;
  }
  const middle = (first + end) >> 1;
  const { from } = runs[middle]!;
  const below = size(middle - first);
  if (below <= MAX_SKIP) {
    code.emit(JUMP_NOT_BELOW, from, below);
    search(code, runs, first, middle);
  } else {
    code.emit(JUMP_NOT_BELOW, from, 0, 1);
    code.emitSkip(() => search(code, runs, first, middle));
  }
  search(code, runs, middle, end);
}

/** How many instructions {@linkcode search} makes of `count` runs. */
function size(count: number): number {
  if (count === 1) return 1;
  const below = size(count >> 1);
  return below + size(count - (count >> 1)) + (below <= MAX_SKIP ? 1 : 2);
}
