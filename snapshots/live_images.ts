import { relative, resolve } from "@std/path";
import { type Fd, open } from "../ffi/fd.ts";
import { layered } from "../ffi/layers.ts";
import { isMissing, isThere } from "../ffi/look.ts";
import { O } from "../runtime/plan/abi.ts";
import type { Entry } from "../runtime/state/store.ts";
import { substituteFiles, substituteOf } from "./files_image.ts";
import type { Images } from "./open_images.ts";
import { unusable } from "./own_file.ts";
import type { Stdio } from "./restore_externals.ts";

const FILES = "files.img";
const PARENT = "parent";

/** Images by their names, each as it is to be. */
export type ImageChanges = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

/** Where the root is mounted for CRIU: the host sees nothing of that. */
export function placeIn(entry: Entry): string {
  const place = resolve(entry.path, "root"); // CRIU works in another directory
  Deno.mkdirSync(place, { recursive: true, mode: 0o700 });
  return place;
}

/** Where file systems in memory are mounted for CRIU, so many. */
export function placesIn(entry: Entry, count: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const place = resolve(entry.path, "memory", String(index));
    Deno.mkdirSync(place, { recursive: true, mode: 0o700 });
    return place;
  });
}

/**
 * The images as CRIU is to read them: with what stdin, stdout and stderr are now. Nothing is copied. Their own directory is
 * closed to others; here processes of another user namespace may look for images, and nobody else can come.
 *
 * @param changes Images that are to be others than those of the checkpoint.
 */
export function liveImages(
  { path, manifest }: Images,
  entry: Entry,
  stdioFds: Stdio,
  changes: ImageChanges = new Map(),
): Fd {
  const files = manifest?.files.filter(({ key }) => key.startsWith("file[")) ?? [];
  const changed = `${entry.path}/images`;
  Deno.mkdirSync(changed, { mode: 0o711 });
  if (files.length > 0) {
    const substitutes = new Map(files.map(({ key, stdio }) => [key, substituteOf(stdioFds[stdio])]));
    Deno.writeFileSync(
      `${changed}/${FILES}`,
      substituteFiles(Deno.readFileSync(`${path}/${FILES}`), substitutes),
    );
  }
  for (const [name, bytes] of changes) Deno.writeFileSync(`${changed}/${name}`, bytes);
  if (isMissing(`${path}/${PARENT}`)) return layered([changed, path]);
  linkAll(path, changed);
  return open(changed, O.RDONLY);
}

/**
 * CRIU goes to the pages of an earlier checkpoint by a relative path, also from within the container's root: from an overlay
 * there is no way up, so links take its place.
 */
function linkAll(images: string, changed: string): void {
  const place = Deno.realPathSync(changed);
  for (const { name } of Deno.readDirSync(images)) {
    if (isThere(`${changed}/${name}`)) continue;
    Deno.symlinkSync(relative(place, realPath(images, name)), `${changed}/${name}`);
  }
}

function realPath(images: string, name: string): string {
  try {
    return Deno.realPathSync(`${images}/${name}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw unusable(images, `"${name}" leads to what is not there`);
  }
}

/** Removes what only CRIU needed. */
export function removeLive(entry: Entry): void {
  for (const name of ["images", "root", "memory", "criu"]) {
    try {
      Deno.removeSync(`${entry.path}/${name}`, { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
