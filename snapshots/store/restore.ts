import { loadBundle } from "../../runtime/bundle.ts";
import { checkId } from "../../runtime/state/container_id.ts";
import { findCriu } from "../installed.ts";
import { openImages } from "../open_images.ts";
import { refuseLazyPages } from "../options.ts";
import { type RestoredContainer, restoreInto } from "../restore.ts";
import { OWN_STDIO, type Stdio } from "../restore_externals.ts";
import type { RestoreOptions } from "../restore_options.ts";
import { bundleOf } from "./check.ts";
import { noteOrigin } from "./origin.ts";
import { type Snapshot, SnapshotStore, type SnapshotStoreOptions } from "./store.ts";
import { lockedWhole } from "./whole.ts";

/** Options of {@linkcode restoreSnapshot}. */
export interface RestoreSnapshotOptions extends SnapshotStoreOptions, Omit<RestoreOptions, "imagePath"> {}

/**
 * Makes a container from a snapshot of the store, as {@linkcode restoreContainer} does from a directory. Without a
 * bundle it is the one that the snapshot was taken under, as it is now; one that was imported needs it.
 *
 * @param name A tag, an id, or how only one id begins.
 */
export async function restoreSnapshot(
  name: string,
  id: string,
  options: RestoreSnapshotOptions = {},
): Promise<RestoredContainer> {
  return await restoreFound(new SnapshotStore(options).find(name), id, options, OWN_STDIO);
}

/** What {@linkcode restoreSnapshot} does, with other descriptors for stdin, stdout and stderr. */
export async function restoreFound(
  snapshot: Snapshot,
  id: string,
  options: RestoreSnapshotOptions,
  stdio: Stdio,
): Promise<RestoredContainer> {
  checkId(id);
  refuseLazyPages(options);
  const criu = findCriu(options.criu);
  const bundle = loadBundle(await bundleOf(snapshot, options.bundle));
  using whole = await lockedWhole(snapshot, new SnapshotStore(options));
  const restored = await restoreInto(id, {
    criu,
    images: await openImages(whole.path),
    bundle: () => bundle,
    options,
    stdio,
    logPath: options.workPath, // in the snapshot it would be written anew with each restore
  });
  noteOrigin(id, snapshot.id, options);
  return restored;
}
