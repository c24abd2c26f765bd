import { UsageError } from "../errors.ts";

const ID = /^[\w+.-]+$/;
const MAX_ID_LENGTH = 1024;

/**
 * Refuses what is no name of a container: it becomes a part of paths.
 *
 * @throws {UsageError} that says why.
 */
export function checkId(id: string): void {
  const shown = id.length > 64 ? `${id.slice(0, 64)}…` : id;
  const why = id.length > MAX_ID_LENGTH
    ? `it has ${id.length} characters, at most ${MAX_ID_LENGTH} are allowed`
    : id === "." || id === ".." || !ID.test(id)
    ? "invalid container ID format: use letters, digits and _ + - ."
    : undefined;
  if (why) throw new UsageError(`Cannot use ${JSON.stringify(shown)} as an id: ${why}`);
}

/** Whether a name could be a container's. */
export function isId(name: string): boolean {
  return name.length <= MAX_ID_LENGTH && name !== "." && name !== ".." && ID.test(name);
}
