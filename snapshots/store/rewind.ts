import { LifecycleError } from "../../runtime/errors.ts";
import { findContainer } from "../../runtime/lifecycle/container.ts";
import { deleteContainer } from "../../runtime/lifecycle/delete.ts";
import type { RestoredContainer } from "../restore.ts";
import { explainSnapshot } from "./explain.ts";
import { restoreSnapshot, type RestoreSnapshotOptions } from "./restore.ts";

/**
 * Takes a container back to a snapshot: what it has done since is lost. Whether the snapshot can be restored is looked at
 * before the container is ended.
 *
 * @throws {LifecycleError} if there is no such container or snapshot, or it cannot be restored here.
 */
export async function rewindContainer(
  id: string,
  name: string,
  options: RestoreSnapshotOptions = {},
): Promise<RestoredContainer> {
  let { bundle } = options;
  {
    using container = findContainer(id, options);
    bundle ??= container.record.bundle;
  }
  const { root, store, criu } = options;
  const { conditions } = await explainSnapshot(name, { root, store, criu, bundle, id });
  const unmet = conditions.filter(({ what, is }) => is === "unmet" && what !== "id");
  if (unmet.length > 0) {
    const why = unmet.map(({ what, why }) => `${what}: ${why}`).join("; ");
    throw new LifecycleError(`Cannot rewind container "${id}" to snapshot "${name}": ${why}; it goes on`);
  }
  await deleteContainer(id, { root, force: true });
  return await restoreSnapshot(name, id, { ...options, bundle });
}
