/** Whether `path` is a directory with a config.json. */
export async function isBundle(path: string): Promise<boolean> {
  return await Deno.lstat(`${path}/config.json`).then(() => true, () => false);
}

/** Whether the file at `path` is an OCI config.json and not some other program's of that name. */
export async function looksLikeSpec(path: string): Promise<boolean> {
  try {
    const { isFile, size } = await Deno.stat(path);
    return isFile && size < 4 << 20 && "ociVersion" in JSON.parse(await Deno.readTextFile(path));
  } catch {
    return false;
  }
}
