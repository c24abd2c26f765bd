/** How much a memo keeps; then it begins anew. */
const MOST_ENTRIES = 200;
/** What is longer is hardly asked for twice, and would take much memory. */
const MOST_CHARACTERS = 2000;

/**
 * Parts of plans by the words that they were made from: most bundles have the same parts. What is kept is never changed.
 *
 * @example
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { Memo } from "./memo.ts";
 * const memo = new Memo<string[]>();
 * const made = memo.take(["a", 1], () => ["made"]);
 * equal(memo.take(["a", 1], () => ["made again"]), made);
 * ```
 */
export class Memo<Part> {
  readonly #parts = new Map<string, Part>();

  /** The part for `words`, which are all that decides over it: the one of before, or a new one. */
  take(words: readonly unknown[], make: () => Part): Part {
    const key = JSON.stringify(words);
    let part = this.#parts.get(key);
    if (part === undefined) {
      part = make();
      if (this.#parts.size >= MOST_ENTRIES) this.#parts.clear();
      if (key.length <= MOST_CHARACTERS) this.#parts.set(key, part);
    }
    return part;
  }
}
