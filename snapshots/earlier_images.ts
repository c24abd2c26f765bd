import { readManifest } from "./manifest.ts";

/**
 * What an earlier checkpoint of ours has left in a directory, by its manifest: CRIU would read it beside the images of a later
 * one. What else lies there stays.
 */
export function earlierImages(directory: string): string[] {
  try {
    const { seals = {}, parent } = readManifest(directory) ?? {};
    const names = [...Object.keys(seals), ...(parent === undefined ? [] : ["parent"])];
    return names.filter((name) => name !== "" && !name.includes("/") && isOwn(`${directory}/${name}`));
  } catch {
    return []; // nobody can go by it
  }
}

function isOwn(path: string): boolean {
  try {
    return !Deno.lstatSync(path).isDirectory;
  } catch {
    return false;
  }
}
