/**
 * `base` with `more` over it: what names a variable again takes its place, for getenv(3) finds the first of two.
 *
 * @param base Entries `NAME=value`.
 * @param more Entries `NAME=value`; of two with one name the last counts.
 * @example
 * ```ts
 * import { deepEqual } from "node:assert/strict";
 * import { environment } from "./environment.ts";
 * deepEqual(environment(["HOME=/tmp", "TERM=xterm"], ["HOME=/srv", "A=1"]), ["HOME=/srv", "TERM=xterm", "A=1"]);
 * ```
 */
export function environment(base: readonly string[], more: readonly string[]): string[] {
  return [...new Map([...base, ...more].map((entry) => [entry.split("=", 1)[0], entry])).values()];
}
