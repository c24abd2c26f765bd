import { glanceAt } from "../ffi/look.ts";

const [S_IFMT, S_IFDIR] = [0o170000, 0o40000];

/** How a file looks: what must be the same for an image that was made from it. */
export function lookAt(path: string): string {
  const found = glanceAt(path);
  if (!found) return "as nothing";
  const { mode, inode, sizeBytes, changed: [seconds, nanoseconds] } = found;
  const content = (mode & S_IFMT) === S_IFDIR ? "" : ` ${sizeBytes} ${seconds}.${nanoseconds}`;
  return `as ${inode} ${mode & 0o7777}${content}`;
}

/** Whether every path is still what it was; a missing one is found by the planner, which says so. */
export function stillThere(kinds: Readonly<Record<string, string>>): boolean {
  for (const path in kinds) {
    if (kinds[path]!.startsWith("as ")) {
      if (kinds[path] !== lookAt(path)) return false;
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
