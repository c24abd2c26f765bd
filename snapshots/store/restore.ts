import { loadBundle } from "../../runtime/bundle.ts";
import { UnsupportedError } from "../../runtime/errors.ts";
import { checkId } from "../../runtime/state/container_id.ts";
import { descend } from "../descend.ts";
import { findCriu } from "../installed.ts";
import { loadForRestore } from "../load_for_restore.ts";
import { kindOf, openImages, openLightImages } from "../open_images.ts";
import { pagesOf } from "../pager/option.ts";
import { restoreInto } from "../restore.ts";
import type { RestoredContainer } from "../restored_container.ts";
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
  const bundle = loadBundle(await bundleOf(snapshot, options.bundle));
  const wanted = { id, bundle, options, stdio };
  const restored = await descend(wanted, {
    kind: () => kindOf(snapshot.path),
    full: async () => {
      if (options.lazyPages) {
        const reason = "the memory of a snapshot is brought back at once";
        throw new UnsupportedError("--lazy-pages", reason, "leave it out, or restore from a directory");
      }
      const criu = findCriu(options.criu);
      await using waiting = loadForRestore(criu, snapshot.path, { isLazy: options.pages === "lazy" });
      using whole = await lockedWhole(snapshot, new SnapshotStore(options));
      const images = await openImages(whole.path);
      using lent = await pagesOf(images, options);
      return await restoreInto(id, {
        ...wanted,
        criu,
        waiting,
        images,
        pages: lent?.pages,
        bundle: () => bundle,
        logPath: options.workPath, // in the snapshot it would be written anew with each restore
      });
    },
    light: () => openLightImages(snapshot.path),
  });
  noteOrigin(id, snapshot.id, options);
  return restored;
}
