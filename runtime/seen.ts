import { glanceAt } from "../ffi/look.ts";
import { isSettled } from "./stamps.ts";

const [S_IFMT, S_IFDIR] = [0o170000, 0o40000];

/** A file that was changed just now: the next change may leave no trace, so that it is never taken for the same. */
const TOO_NEW = "as too new";
/** What {@linkcode lookAt} says of a directory with nothing in it. */
export const EMPTY = "as empty";
/** What it says of what is not there. */
export const NOTHING = "as nothing";

/**
 * How a file looks: what must be the same for an image that was made from it. Of a directory whose path ends with a slash
 * that is whether there is anything in it.
 */
export function lookAt(path: string): string {
  const found = glanceAt(path);
  if (!found) return NOTHING;
  const { mode, inode, sizeBytes, changed } = found;
  const place = `as ${inode} ${mode & 0o7777}`;
  if ((mode & S_IFMT) === S_IFDIR) return path.endsWith("/") ? (isEmpty(path) ? EMPTY : "as filled") : place;
  return isSettled(changed) ? `${place} ${sizeBytes} ${changed.join(".")}` : TOO_NEW;
}

function isEmpty(directory: string): boolean {
  try {
    return Deno.readDirSync(directory)[Symbol.iterator]().next().done === true;
  } catch {
    return false; // who cannot look finds something there
  }
}

/** Whether every path is still what it was; a missing one is found by the planner, which says so. */
export function stillThere(kinds: Readonly<Record<string, string>>): boolean {
  for (const path in kinds) {
    if (kinds[path]!.startsWith("as ")) {
      if (kinds[path] === TOO_NEW || kinds[path] !== lookAt(path)) return false;
      continue;
    }
    try {
      const { isDirectory, isSymlink } = kinds[path] === "root" ? Deno.lstatSync(path) : Deno.statSync(path);
      if (isSymlink || isDirectory !== (kinds[path] !== "file")) return false;
    } catch {
      return false;
    }
  }
  return true;
}
