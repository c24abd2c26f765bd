import { isWithin } from "./needs.ts";

/** So many neighbours stand for the whole directory. */
const MOST_NEIGHBOURS = 8;

/** Paths without those that lie in others of them, in order. */
export function outermost(paths: Iterable<string>): string[] {
  const kept: string[] = [];
  for (const path of [...paths].sort()) if (!isWithin(path, kept)) kept.push(path);
  return kept;
}

/**
 * Paths to read, where many in one directory become the directory: programs read other files of their library the
 * next time. A directory at the top, such as `/etc/`, is never taken as a whole.
 *
 * @example
 * ```ts
 * import { deepEqual } from "node:assert/strict";
 * import { shortened } from "./shorten.ts";
 * const many = Array.from({ length: 9 }, (_, index) => `/usr/lib/${index}`);
 * deepEqual(shortened([...many, "/etc/passwd"]), ["/etc/passwd", "/usr/lib/"]);
 * ```
 */
export function shortened(paths: Iterable<string>): string[] {
  let kept = outermost(paths);
  const depth = (path: string): number => path.split("/").length;
  for (let level = Math.max(0, ...kept.map(depth)); level > 3; level--) {
    const neighbours = Map.groupBy(kept.filter((path) => path !== "/"), parentOf);
    const full = [...neighbours].filter(([parent, { length }]) =>
      depth(parent) === level && length > MOST_NEIGHBOURS
    );
    kept = outermost([...kept, ...full.map(([parent]) => parent)]);
  }
  return kept;
}

/** `/a/b/` of `/a/b/c` and `/a/b/c/`. */
function parentOf(path: string): string {
  return path.slice(0, path.replace(/\/$/, "").lastIndexOf("/") + 1);
}
