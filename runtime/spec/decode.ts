/** From the bytes of a config.json to a Spec: the shape only, what it means is for validate.ts. */

import { SpecError } from "../errors.ts";
import { document } from "./_document.ts";
import { harmless, Problems } from "./problems.ts";
import { Place, type Shape } from "./shape.ts";
import type { Spec } from "./config.ts";

/** The largest config.json that is read, in bytes (of a string: in UTF-16 units). */
export const MAX_CONFIG_BYTES = 4 * 1024 * 1024;

/** How many values and how many arrays and objects there may be; a profile of every system call has 2,000. */
export const MAX_CONFIG_VALUES = 262_144;

/** How deep arrays and objects may nest; the specification needs nine. */
export const MAX_CONFIG_DEPTH = 64;

/**
 * Reads the text of a config.json, whose properties all have the types that the specification gives them;
 * unknown ones are left out. Use `parseSpec` to have the meaning checked too.
 *
 * @param path where the text came from, for the error
 * @throws {SpecError} every problem at once (at most fifty), each with its JSON pointer
 * @example
 * ```ts
 * import { decodeSpec } from "./decode.ts";
 * const spec = decodeSpec('{ "ociVersion": "1.3.0", "root": { "path": "rootfs" } }', "config.json");
 * if (spec.root.path !== "rootfs") throw new Error();
 * ```
 */
export function decodeSpec(bytes: Uint8Array | string, path: string): Spec {
  const problems = new Problems();
  const spec = readSpec(bytes, problems);
  if (spec === undefined || problems.list.length > 0) throw new SpecError(path, problems.list);
  return spec;
}

/**
 * Reads what can be read and reports the rest. With problems, the result has holes where they are; without,
 * it is a Spec.
 */
export function readSpec(bytes: Uint8Array | string, problems: Problems): Spec | undefined {
  return readAs(document, bytes, problems);
}

/** Reads the text of a part of a config.json that has the shape `shape`; `null` there is as good as nothing. */
export function readPart<T>(shape: Shape<T>, bytes: Uint8Array | string, problems: Problems): T | undefined {
  return readAs((value, at) => shape(withoutNulls(value), at), bytes, problems);
}

function readAs<T>(shape: Shape<T>, bytes: Uint8Array | string, problems: Problems): T | undefined {
  try {
    return shape(parseJson(toText(bytes)), new Place(problems));
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    problems.add("", error.message);
  }
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, each]) => each !== null);
  return Object.fromEntries(entries.map(([key, each]) => [key, withoutNulls(each)]));
}

class Unreadable extends Error {}

function toText(bytes: Uint8Array | string): string {
  if (bytes.length > MAX_CONFIG_BYTES) {
    throw new Unreadable(`Cannot read ${bytes.length} bytes: at most ${MAX_CONFIG_BYTES} are allowed`);
  }
  if (typeof bytes === "string") return bytes;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Unreadable("Cannot read the text: it is not UTF-8");
  }
}

function parseJson(text: string): unknown {
  // First: what is deep or long makes JSON.parse slow, and its reviver overflow the stack.
  const excess = excessOf(text);
  if (excess) throw new Unreadable(`Cannot read the text: it ${excess}`);
  try {
    // Below sixteen digits every integer is exact, and the plain reading is several times as fast.
    return /\d{16}/.test(text) ? JSON.parse(text, exact) : JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Unreadable(`Cannot read the text as JSON: ${harmless(error.message)}`);
  }
}

/** Makes a bigint of a whole number that a number would round. */
function exact(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  const digits = context?.source ?? "";
  return /^-?\d{1,20}$/.test(digits) ? BigInt(digits) : value;
}

/** What there is too much of. Strings are skipped; whether brackets match is left to JSON.parse. */
function excessOf(text: string): string | undefined {
  const marks = /["[\]{},]/g;
  let depth = 0;
  let values = 0;
  while (marks.test(text)) {
    const mark = text[marks.lastIndex - 1];
    if (mark === '"') {
      const end = endOfString(text, marks.lastIndex);
      if (end < 0) return;
      marks.lastIndex = end;
    } else if (mark === "]" || mark === "}") {
      depth--;
    } else {
      if (mark !== "," && ++depth > MAX_CONFIG_DEPTH) return `nests deeper than ${MAX_CONFIG_DEPTH} levels`;
      if (++values > MAX_CONFIG_VALUES) return `holds more than ${MAX_CONFIG_VALUES} values`;
    }
  }
}

/** The index after the quote that closes the string, or -1; `start` is after the one that opens it. */
function endOfString(text: string, start: number): number {
  for (let end = start;;) {
    const quoteAt = text.indexOf('"', end);
    if (quoteAt < 0) return -1;
    let slashes = 0;
    while (quoteAt - 1 - slashes >= start && text[quoteAt - 1 - slashes] === "\\") slashes++;
    end = quoteAt + 1;
    if (slashes % 2 === 0) return end;
  }
}
