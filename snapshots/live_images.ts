import { resolve } from "@std/path";
import type { Fd } from "../ffi/fd.ts";
import { layered } from "../ffi/layers.ts";
import type { Entry } from "../runtime/state/store.ts";
import { substituteFiles, substituteOf } from "./files_image.ts";
import type { Images } from "./open_images.ts";
import type { Stdio } from "./restore_externals.ts";

const FILES = "files.img";

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
  return layered([changed, path]);
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
