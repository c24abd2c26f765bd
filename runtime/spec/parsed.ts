import { Problems } from "./problems.ts";
import { Place, type Shape } from "./shape.ts";

/**
 * What a JSON text of this shape holds.
 *
 * @param wrong Makes an error of the first thing that is wrong with it, which is thrown.
 */
export function parsed<T>(source: string, shape: Shape<T>, wrong: (why: string) => Error): T {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (cause) {
    throw wrong(cause instanceof Error ? cause.message : String(cause));
  }
  const problems = new Problems();
  const found = shape(value, new Place(problems));
  const [first] = problems.list;
  if (first) throw wrong(`${first.pointer || "/"}: ${first.message}`);
  if (found === undefined) throw wrong("it is empty");
  return found;
}
