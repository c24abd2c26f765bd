import { UsageError } from "../../runtime/errors.ts";
import { restoreContainer, type RestoredContainer } from "../restore.ts";
import type { RestoreOptions } from "../restore_options.ts";
import { manifestOf } from "./check.ts";
import { noteOrigin } from "./origin.ts";
import { type Snapshot, SnapshotStore, type SnapshotStoreOptions } from "./store.ts";

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
  const snapshot = new SnapshotStore(options).find(name);
  const { store: _, ...restore } = options;
  // A log in the snapshot would be written anew with each restore of it.
  const logs = options.workPath ?? Deno.makeTempDirSync({ prefix: "ai-sandbox-restore-" });
  const restored = await restoreContainer(id, {
    ...restore,
    bundle: await bundleOf(snapshot, options.bundle),
    imagePath: snapshot.path,
    workPath: logs,
  });
  if (options.workPath === undefined) Deno.removeSync(logs, { recursive: true });
  noteOrigin(id, snapshot.id, options);
  return restored;
}

/** The bundle that a snapshot is restored under. @throws {UsageError} if nobody who is trusted has named one. */
export async function bundleOf(snapshot: Snapshot, given: string | undefined): Promise<string> {
  const { bundle } = await manifestOf(snapshot);
  if (given !== undefined) return given;
  if (!snapshot.imported) return bundle;
  throw new UsageError(
    `Cannot restore snapshot "${snapshot.id}": it was imported; name a bundle by --bundle`,
  );
}
