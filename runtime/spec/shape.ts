/** Small decoders that combine: each turns what JSON.parse gave into a T, or says why it cannot. */

import { pointerTo, type Problems, quote } from "./problems.ts";
import type { Int64, StringMap } from "./config.ts";

/** Reads a T; reports to `at` and returns undefined where the value is no T. */
export type Shape<T> = (value: unknown, at: Place) => T | undefined;

/** A property that an object may not do without. */
export interface Needed<T> {
  readonly needed: Shape<T>;
}

/** One row for each property of T, marked as needed exactly where T says so. */
export type Fields<T> = {
  readonly [K in keyof T]-?: Record<never, never> extends Pick<T, K> ? Shape<T[K]> : Needed<T[K]>;
};

/** Where the reader is in the document: problems found here carry the path as a JSON pointer. */
export class Place {
  readonly #path: (string | number)[] = [];
  readonly #problems: Problems;

  constructor(problems: Problems) {
    this.#problems = problems;
  }

  /** Reads `value`, which is at `key` of the present place. */
  read<T>(key: string | number, value: unknown, shape: Shape<T>): T | undefined {
    this.#path.push(key);
    const result = shape(value, this);
    this.#path.pop();
    return result;
  }

  fail(message: string): undefined {
    if (!this.#problems.full) this.#problems.add(pointerTo(this.#path), message);
  }

  mismatch(value: unknown, wanted: string): undefined {
    if (!this.#problems.full) this.fail(`Cannot use ${describe(value)}: ${wanted} is needed`);
  }
}

function describe(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  return String(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Marks a property as needed. */
export function need<T>(needed: Shape<T>): Needed<T> {
  return { needed };
}

/**
 * An object with the properties of the table; others are ignored, as the specification demands. Their names may be in
 * capitals or not, as for runc: what it would apply must not be passed over.
 */
export function object<T extends object>(fields: Fields<T>): Shape<T> {
  const table = fields as Readonly<Record<string, Shape<unknown> | Needed<unknown>>>;
  const names = new Map(Object.keys(table).map((name) => [folded(name), name]));
  const exactly = new Set(names.values());
  return (value, at) => {
    if (!isObject(value)) return at.mismatch(value, "an object");
    const known = Object.keys(value).every((key) => exactly.has(key) || !names.has(folded(key)))
      ? value
      : together([value], (key) => names.get(folded(key)) ?? key);
    const result: Record<string, unknown> = {};
    for (const key in table) {
      const field = table[key]!;
      if (Object.hasOwn(known, key)) {
        const read = at.read(key, known[key], typeof field === "function" ? field : field.needed);
        if (read !== undefined) result[key] = read;
      } else if (typeof field !== "function") {
        at.read(key, undefined, (_, here) => here.fail(`Cannot leave "${key}" out: it is required`));
      }
    }
    return result as T;
  };
}

/**
 * What objects have together, by other names. Of properties of one name the last counts, as for runc, or if they are
 * objects what these have together.
 */
function together(
  objects: readonly Record<string, unknown>[],
  nameOf: (key: string) => string = (key) => key,
): Record<string, unknown> {
  const found = new Map<string, unknown[]>();
  for (const [key, value] of objects.flatMap((each) => Object.entries(each))) {
    const name = nameOf(key);
    const before = found.get(name);
    found.delete(name); // what comes later stays behind the rest
    if (before && isObject(before[0]) && isObject(value)) {
      before.push(value);
      found.set(name, before);
    } else {
      found.set(name, [value]);
    }
  }
  return Object.fromEntries(
    [...found].map(([name, values]) => {
      const [first] = values;
      return [name, values.length === 1 ? first : together(values.filter(isObject))];
    }),
  );
}

/** A name without the difference of capitals, those of Unicode that fold to ASCII included. */
export function folded(name: string): string {
  return name.toUpperCase().toLowerCase();
}

/** An {@linkcode object} that may have no other properties. */
export function exact<T extends object>(fields: Fields<T>): Shape<T> {
  const read = object(fields);
  return (value, at) => {
    for (const key of isObject(value) ? Object.keys(value) : []) {
      if (Object.hasOwn(fields, key)) continue;
      at.read(key, undefined, (_, here) => here.fail(`Cannot use ${quote(key)}: there is no such property`));
    }
    return read(value, at);
  };
}

/** An array of at most `most` items. */
export function list<T>(item: Shape<T>, most = 4096): Shape<readonly T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) return at.mismatch(value, "an array");
    if (value.length > most) return at.fail(`Cannot take ${value.length} items: at most ${most} are allowed`);
    const result: T[] = [];
    for (let index = 0; index < value.length; index++) {
      const read = at.read(index, value[index], item);
      if (read !== undefined) result.push(read);
    }
    return result;
  };
}

/** An object whose keys the document chooses, at most `most`; the result has no prototype. */
export function map<T>(item: Shape<T>, most = 4096): Shape<StringMap<T>> {
  return (value, at) => {
    if (!isObject(value)) return at.mismatch(value, "an object");
    const keys = Object.keys(value);
    if (keys.length > most) return at.fail(`Cannot take ${keys.length} entries: at most ${most} are allowed`);
    // Without a prototype "__proto__" is a key like any other.
    const result: Record<string, T> = Object.create(null);
    for (const key of keys) {
      const flaw = textFlaw(key, 4095);
      // A key that is no proper text is not put into a pointer either.
      if (flaw) at.fail(`Cannot use the key ${quote(key)}: ${flaw}`);
      const read = flaw ? undefined : at.read(key, value[key], item);
      if (read !== undefined) result[key] = read;
    }
    return result;
  };
}

/** A map whose keys come from a closed set of words. */
export function mapOf<W extends string, T>(words: readonly W[], item: Shape<T>): Shape<{ [K in W]?: T }> {
  const read = map(item);
  return (value, at) => {
    const result = read(value, at);
    for (const key in result) {
      if (words.includes(key as W)) continue;
      at.fail(`Cannot use the key ${quote(key)}: one of ${words.join(", ")} is needed`);
      return undefined;
    }
    return result as { [K in W]?: T } | undefined;
  };
}

/** A string of at most `most` UTF-16 units, without NUL (which would end it early in the kernel). */
export function text(most: number): Shape<string> {
  return (value, at) => {
    if (typeof value !== "string") return at.mismatch(value, "a string");
    const flaw = textFlaw(value, most);
    return flaw ? at.fail(`Cannot use ${quote(value)}: ${flaw}`) : value;
  };
}

/** A string that matches `pattern`, which `wanted` puts in words. */
export function textLike(pattern: RegExp, wanted: string): Shape<string> {
  const read = text(4095);
  return (value, at) => {
    const result = read(value, at);
    return result === undefined || pattern.test(result) ? result : at.mismatch(result, wanted);
  };
}

function textFlaw(value: string, most: number): string | undefined {
  if (value.length > most) return `it is ${value.length} characters long and may be ${most}`;
  if (value.includes("\0")) return "it contains a NUL";
  if (!value.isWellFormed()) return "it contains half a surrogate pair, which UTF-8 cannot carry";
}

/** One word of a closed set. */
export function oneOf<W extends string>(words: readonly W[]): Shape<W> {
  return (value, at) =>
    words.includes(value as W) ? value as W : at.mismatch(value, `one of ${words.join(", ")}`);
}

/** true or false. */
export const flag: Shape<boolean> = (value, at) =>
  typeof value === "boolean" ? value : at.mismatch(value, "true or false");

/** An integer that a number can carry. */
export function integer(least: number, most: number): Shape<number> {
  return (value, at) =>
    typeof value === "number" && Number.isInteger(value) && value >= least && value <= most
      ? value + 0 // -0 becomes 0
      : at.mismatch(value, `an integer from ${least} to ${most}`);
}

/** An integer of 64 bits; the reader of the text made a bigint of what a number would round. */
function wide(least: bigint, most: bigint): Shape<Int64> {
  return (value, at) => {
    if (typeof value === "number" ? Number.isSafeInteger(value) : typeof value === "bigint") {
      const number = value as Int64;
      if (number >= least && number <= most) return typeof number === "number" ? number + 0 : number;
    }
    return at.mismatch(value, `an integer from ${least} to ${most}`);
  };
}

export const int64: Shape<Int64> = wide(-(2n ** 63n), 2n ** 63n - 1n);
export const uint64: Shape<Int64> = wide(0n, 2n ** 64n - 1n);
export const int32: Shape<number> = integer(-(2 ** 31), 2 ** 31 - 1);
export const uint32: Shape<number> = integer(0, 2 ** 32 - 1);
export const uint16: Shape<number> = integer(0, 2 ** 16 - 1);
