import { openDirectory, putFileAt } from "../ffi/directory.ts";
import type { Fd } from "../ffi/fd.ts";
import { withFileIds } from "../ffi/file_ids.ts";
import { openInside, openPath } from "../ffi/look.ts";
import { mountOptions } from "../runtime/plan/mount_options.ts";
import type { Spec } from "../runtime/spec/config.ts";
import type { Manifest } from "./manifest.ts";

/** What a fork reads of itself. */
export interface ForkMark {
  /** The id of the fork. */
  readonly id: string;
  /** Which one of those that were made at once, from 1 on. */
  readonly number: number;
  /** How many those are. */
  readonly count: number;
  /** The id of the container that it is a fork of. */
  readonly source: string;
  /** When it was made, as ISO 8601. */
  readonly forked: string;
}

/** Where the mark may lie, in the order of preference: in a file system in memory that the container has for itself. */
const PLACES = ["/run", "/dev"];
const [FOLDER, NAME] = ["ai-sandbox", "fork.json"];

/** The file system in memory that the mark of a fork lies in; nothing if a container has none that is its own. */
export function markPlace({ mounts = [] }: Spec, manifest: Manifest | undefined): string | undefined {
  return PLACES.find((place) => {
    const mount = mounts.findLast(({ destination }) => destination.replace(/(?<=.)\/+$/, "") === place);
    if (mount?.type !== "tmpfs") return false;
    const { bind } = mountOptions(mount.options ?? [], mount.type);
    return !bind && !manifest?.mounts.some(({ path }) => path === place);
  });
}

/** Where a program in the container finds the mark. */
export function markPath(place: string): string {
  return `${place}/${FOLDER}/${NAME}`;
}

/**
 * Writes the mark into a container that does not run yet. What the program has put there before leads nowhere else: no
 * link is followed.
 *
 * @param pid Its first process.
 * @param place What {@linkcode markPlace} found.
 */
export function writeMark(pid: number, { linux }: Spec, place: string, mark: ForkMark): void {
  using root = openPath(`/proc/${pid}/root`);
  using file = openInside(root, place);
  if (!file) throw new Error(`Cannot mark the fork: there is no "${place}" in it any more`);
  const inside = { uid: hostId(linux?.uidMappings), gid: hostId(linux?.gidMappings) };
  withFileIds(inside, () => {
    using folder = makeFolder(file);
    putFileAt(folder, NAME, new TextEncoder().encode(`${JSON.stringify(mark)}\n`));
    Deno.chmodSync(`/proc/self/fd/${folder.raw}`, 0o755);
    Deno.chmodSync(`/proc/self/fd/${folder.raw}/${NAME}`, 0o644);
  });
}

function makeFolder(place: Fd): Fd {
  const path = `/proc/self/fd/${place.raw}/${FOLDER}`;
  try {
    Deno.mkdirSync(path, { mode: 0o755 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  return openDirectory(path)!; // no link
}

/** Root of the container, as the host numbers it. */
function hostId(
  mappings: readonly { readonly containerID: number; readonly hostID: number }[] = [],
): number {
  return mappings.find(({ containerID }) => containerID === 0)?.hostID ?? 0;
}
