/** Whether `path` is a directory with a config.json, or one that this user cannot look into. */
export async function isBundle(path: string): Promise<boolean> {
  return await Deno.lstat(`${path}/config.json`).then(() => true, (error) => {
    // A word without a slash is a program's name, whatever the working directory is.
    return error instanceof Deno.errors.PermissionDenied && path.includes("/");
  });
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
