import type { Policy } from "./policy.ts";

/**
 * The policy of a name, or of a file in JSON (`.json`) or YAML. What that takes is loaded when it is asked for.
 *
 * @throws {UsageError} if there is neither.
 * @throws {SpecError} with every problem of the file, each with its JSON pointer.
 *
 * @example
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { readPolicy } from "./read.ts";
 * equal((await readPolicy("strict")).capabilities.allow.length, 0);
 * ```
 */
export async function readPolicy(nameOrFile: string): Promise<Policy> {
  return await (await import("./load.ts")).loadPolicy(nameOrFile);
}
