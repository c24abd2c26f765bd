/** The rules of `linux.seccomp`, sorted by the call they are about. */

import type { Seccomp, SeccompArg } from "../spec/linux.ts";
import type { Comparison, Conditional } from "./conditions.ts";
import { NEWER_SYSCALLS, returnValue, strictness } from "./numbers.ts";

/** What libseccomp calls a call it does not know. */
export const UNKNOWN = -1;

/** One rule of the spec. */
export interface Rule {
  /** What the filter returns. */
  readonly value: number;
  /** The ways for it to hold. */
  readonly alternatives: readonly Alternative[];
}

/** Conditions that must hold together; none: it always holds. */
export interface Alternative {
  readonly comparisons: readonly Comparison[];
  /** Tells it from others. */
  readonly key: string;
  /** JSON pointer of what it comes from, from `linux.seccomp`. */
  readonly pointer: string;
}

/** A call with all rules about it. */
export interface Call {
  /** libseccomp's number, {@linkcode UNKNOWN} or that of an alias too. */
  readonly number: number;
  readonly names: readonly string[];
  /** Those that do something else than the default, in the order of the spec. */
  readonly rules: readonly Rule[];
}

/** The value that the filter returns where no rule holds. */
export function defaultValue({ defaultAction, defaultErrnoRet }: Seccomp): number {
  return returnValue(defaultAction, defaultErrnoRet);
}

/** Every call that the spec names; calls that libseccomp does not know each by itself. */
export function calls(seccomp: Seccomp, resolve: (name: string) => number): Call[] {
  const found = new Map<number | string, { number: number; names: string[]; rules: Rule[] }>();
  const byName = new Map<string, { names: string[]; rules: Rule[] }>();
  const unlike = defaultValue(seccomp);
  for (const [index, { names, action, errnoRet, args = [] }] of (seccomp.syscalls ?? []).entries()) {
    const value = returnValue(action, errnoRet);
    const rule = { value, alternatives: alternatives(args, `/syscalls/${index}`) };
    for (const name of names) {
      let call = byName.get(name);
      if (call === undefined) {
        const number = resolve(name);
        const key = number === UNKNOWN ? name : number;
        const known = found.get(key) ?? { number, names: [], rules: [] };
        found.set(key, known);
        byName.set(name, call = known);
        call.names.push(name);
      }
      if (value !== unlike && call.rules.at(-1) !== rule) call.rules.push(rule);
    }
  }
  return [...found.values()];
}

/**
 * As in runc: where an argument is compared twice, each condition holds by itself.
 */
function alternatives(args: readonly SeccompArg[], pointer: string): Alternative[] {
  const all = args.map(({ index, op, value, valueTwo = 0 }): Comparison => {
    return { arg: index, op, a: BigInt(value), b: BigInt(valueTwo) };
  });
  const twice = new Set(all.map(({ arg }) => arg)).size < all.length;
  const groups = twice ? all.map((one) => [one]) : [all];
  return groups.map((comparisons, index) => ({
    comparisons,
    key: comparisons.map(({ arg, op, a, b }) => `${arg} ${op} ${a} ${b}`).join(),
    pointer: comparisons.length === 1 ? `${pointer}/args/${index}` : pointer,
  }));
}

/**
 * What the filter returns for a call whatever its arguments are, if there is such a thing: in libseccomp the first
 * rule without conditions wins over all others.
 */
export function verdictOf({ rules }: Call): number | undefined {
  return rules.find(({ alternatives: [one] }) => one!.comparisons.length === 0)?.value;
}

/** The conditions on a call without such a verdict, the strictest first: where several hold, that one counts. */
export function conditionalsOf({ rules }: Call): Conditional[] {
  const found = new Map<string, Conditional>();
  for (const { value, alternatives } of rules) {
    for (const { comparisons, key } of alternatives) found.set(`${value} ${key}`, { value, comparisons });
  }
  return [...found.values()].sort((one, other) => strictness(other.value) - strictness(one.value));
}

/** Whether nothing can be made of the rules about a call. */
export function isIgnored({ number, names }: Call): boolean {
  return number === UNKNOWN && !NEWER_SYSCALLS.has(names[0]!);
}
