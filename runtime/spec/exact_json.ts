/** `JSON.rawJSON` of ECMA-262, which the types of TypeScript do not have yet. */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/**
 * A value as JSON on one line; whole numbers that only a bigint holds keep all their digits.
 *
 * @example
 * ```ts
 * import { equal } from "node:assert/strict";
 * equal(exactJson({ limit: 9223372036854771712n }), '{"limit":9223372036854771712}');
 * ```
 */
export function exactJson(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => typeof each === "bigint" ? rawJSON(`${each}`) : each);
}
