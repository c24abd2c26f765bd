/**
 * Why this user cannot reach a path, in words for an error: which directory on the way is closed to it.
 *
 * @param path An absolute path that was refused with EACCES.
 * @param otherwise What to say if every directory on the way can be entered.
 */
export function whyClosed(path: string, otherwise: string): string {
  const directory = closedDirectory(path);
  if (directory === undefined) return `permission denied: ${otherwise}`;
  return `permission denied: this user may not enter "${directory}" (chmod +x opens it)`;
}

/** The first directory on the way that this user may not search (path_resolution(7)). */
function closedDirectory(path: string): string | undefined {
  for (let end = path.indexOf("/", 1); end !== -1; end = path.indexOf("/", end + 1)) {
    const directory = path.slice(0, end);
    try {
      Deno.lstatSync(`${directory}/.`);
    } catch (error) {
      if (error instanceof Deno.errors.PermissionDenied) return directory;
    }
  }
  return undefined;
}
