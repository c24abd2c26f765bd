/** How a file looks: what must be the same for an image that was made from it. */
export function lookAt(path: string): string {
  try {
    const { ino, size, mtime, mode, isDirectory } = Deno.lstatSync(path);
    const content = isDirectory ? "" : ` ${size} ${mtime?.getTime()}`;
    return `as ${ino} ${(mode ?? 0) & 0o7777}${content}`;
  } catch {
    return "as nothing";
  }
}
