/** A process alone, as those who run one more program in a sandbox write it down. */

import type { Process } from "./config.ts";
import { folded } from "./shape.ts";
import { parseSpec } from "./validate.ts";
import { SpecError } from "../errors.ts";

/**
 * Reads a document that is one `process` of config.json, and checks what it means.
 *
 * @param path Where it came from, for the error.
 * @throws {SpecError} with every problem; the words for what is missing are runc's.
 * @example
 * ```ts
 * import { parseProcess } from "./process.ts";
 * const { cwd } = parseProcess('{ "cwd": "/", "args": ["/bin/true"] }', "process.json");
 * if (cwd !== "/") throw new Error();
 * ```
 */
export function parseProcess(text: string, path: string): Process {
  const refuse = (pointer: string, message: string): SpecError => new SpecError(path, [{ pointer, message }]);
  let value: unknown;
  try {
    value = JSON.parse(text); // what is whole by itself stays one value below
  } catch (error) {
    throw refuse("", (error as Error).message);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw refuse("", "process property must not be empty");
  }
  const { cwd, args } = Object.fromEntries(
    Object.entries(value).map(([key, each]) => [folded(key), each]),
  ) as Partial<Process>;
  if (cwd === undefined || cwd === "") throw refuse("/cwd", "Cwd property must not be empty");
  if (typeof cwd === "string" && !cwd.startsWith("/")) throw refuse("/cwd", "Cwd must be an absolute path");
  if (args === undefined || args === null || args.length === 0) {
    throw refuse("/args", "args must not be empty");
  }
  const spec = parseSpec(`{"ociVersion":"1.3.0","root":{"path":"/"},"process":${text}}`, path);
  return spec.process!;
}
