import { SpecError } from "../errors.ts";
import { RESOURCE_RULES } from "./_check_resources.ts";
import { resources } from "./_linux.ts";
import type { Resources } from "./config.ts";
import { readPart } from "./decode.ts";
import { Problems } from "./problems.ts";

/**
 * Reads limits as `linux.resources` of a config.json has them, and checks what they mean. As in Go's programs, `null`
 * stands for nothing.
 *
 * @param path Where the text came from, for the error.
 * @throws {SpecError} every problem at once, each with its JSON pointer from the limits on.
 *
 * @example
 * ```ts
 * import { deepEqual } from "node:assert/strict";
 * deepEqual(parseResources('{ "pids": { "limit": 5 }, "cpu": null }', "-"), { pids: { limit: 5 } });
 * ```
 */
export function parseResources(text: Uint8Array | string, path: string): Resources {
  const problems = new Problems();
  const read = readPart(resources, text, problems);
  if (read && problems.list.length === 0) checkResources(read, path);
  if (read === undefined || problems.list.length > 0) throw new SpecError(path, problems.list);
  return read;
}

/** @throws {SpecError} if limits mean nothing. */
export function checkResources(resources: Resources, path: string): void {
  const spec = { ociVersion: "1.3.0", root: { path: "/" }, linux: { resources } };
  const issues = RESOURCE_RULES.flatMap(({ check }) => [...check(spec)]).map(({ pointer, message }) => {
    return { pointer: pointer.replace(/^\/linux\/resources/, ""), message };
  });
  if (issues.length > 0) throw new SpecError(path, issues);
}
