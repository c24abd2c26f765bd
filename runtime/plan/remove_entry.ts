/** How the directory of a container is removed that somebody has locked. */

import { type Arg, mark, named, type Op, op, slot, zeros } from "./op.ts";

const REMOVEDIR = named("AT_REMOVEDIR", 0x200);
/** `struct linux_dirent64` of an entry whose name has this length (getdents64(2)). */
const entryBytes = (name: string): number => Math.ceil((19 + name.length + 1) / 8) * 8;

/** What is removed. */
interface Removed {
  /** The files in it, in the order in which they go; the last is what makes it a container. */
  readonly files: readonly string[];
  /** It, the directory above it, and its name there. */
  readonly directory: Arg;
  readonly parent: Arg;
  readonly id: Arg;
}

/**
 * Removes the files, then the directory.
 *
 * @param failed Where to go on if that cannot be done: all can be tried again.
 */
export function* removeEntry(
  { files, directory, parent, id }: Removed,
  failed?: string,
): Iterable<Op> {
  const rest = failed === undefined ? {} : { failed };
  const last = files.at(-1)!;
  for (const name of files.slice(0, -1)) {
    yield op(`remove "${name}"`, "unlinkat", [directory, name, 0], { ignore: ["ENOENT"], ...rest });
  }
  // A directory with files that somebody else has put there is left to Deno.
  const does = `find nothing but "${last}"`;
  const entries = zeros(4096, "entries");
  const expected = [".", "..", last].reduce((sum, each) => sum + entryBytes(each), 0);
  yield op(does, "getdents64", [directory, entries, 4096], { into: "entries", ...rest });
  yield op(does, "let", [slot("entries"), -expected, 1], {
    zero: "only",
    positive: failed ?? "fail",
    ...rest,
  });
  yield mark("only");
  yield op(`remove "${last}"`, "unlinkat", [directory, last, 0], rest);
  yield op("remove its directory", "unlinkat", [parent, id, REMOVEDIR], rest);
}
