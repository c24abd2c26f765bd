import { stampOf } from "../file_stamp.ts";
import { pidOfPageMap } from "./pagemap.ts";

/** More memory than this is not kept for who might come. */
export const MOST_KEPT_BYTES: number = 256 << 20;
/** Of how many images it is known that they were used. */
const MOST_SEEN = 64;

/** What is known of the memory in images that does not change. */
export interface SeenImages {
  /** Changes with every change of what is read of them. */
  readonly stamp: string;
  /** How much memory it is. */
  readonly bytes: number;
}

/** By their directory, the images that this process has made containers from. */
const seen = new Map<string, string>();

/** Notes that containers are made from images; what is known of them if that was so before and they are as they were. */
export function seenAgain(path: string): SeenImages | undefined {
  const images = lookAtImages(path);
  const before = seen.get(path);
  seen.delete(path);
  if (images) seen.set(path, images.stamp);
  if (seen.size > MOST_SEEN) seen.delete(seen.keys().next().value!);
  return images && before === images.stamp ? images : undefined;
}

/** What is known of images; nothing if they have just been changed. */
export function lookAtImages(path: string): SeenImages | undefined {
  const stamps: string[] = [];
  let bytes = 0;
  for (const name of Array.from(Deno.readDirSync(path), (each) => each.name).sort()) {
    const isPages = /^pages-\d+\.img$/.test(name);
    const isRead = isPages || pidOfPageMap(name) !== undefined || /^(mm-\d+|pstree)\.img$/.test(name);
    if (!isRead) continue;
    const stamp = stampOf(`${path}/${name}`);
    if (stamp === undefined) return undefined;
    stamps.push(stamp);
    if (isPages) bytes += Deno.statSync(`${path}/${name}`).size;
  }
  return { stamp: stamps.join(" "), bytes };
}
