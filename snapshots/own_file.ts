import { LifecycleError } from "../runtime/errors.ts";
import { parsed } from "../runtime/spec/parsed.ts";
import type { Shape } from "../runtime/spec/shape.ts";

/**
 * What a JSON file of ours beside images holds; nothing if there is none. It may come from anybody.
 *
 * @param mostBytes What is longer is not read.
 * @throws {LifecycleError} if nobody can go by it.
 */
export function readOwnFile<T>(file: string, mostBytes: number, shape: Shape<T>): T | undefined {
  let source: string;
  try {
    const { isFile, size } = Deno.lstatSync(file);
    if (!isFile || size > mostBytes) throw unusable(file, "it is no ordinary file");
    source = Deno.readTextFileSync(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  return parsed(source, shape, (why) => unusable(file, why));
}

/** A checkpoint that is refused. */
export function unusable(path: string, why: string): LifecycleError {
  return new LifecycleError(`Cannot restore from "${path}": ${why}; take another checkpoint`);
}
