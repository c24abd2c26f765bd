import { LifecycleError } from "../../runtime/errors.ts";
import { findContainer } from "../../runtime/lifecycle/container.ts";
import { deleteContainer } from "../../runtime/lifecycle/delete.ts";
import { takeFd } from "../../ffi/process.ts";
import { descriptorName } from "../../runtime/state/descriptor_name.ts";
import { hold } from "../../runtime/state/liveness.ts";
import type { ProcessName, Record } from "../../runtime/state/record.ts";
import type { RestoredContainer } from "../restored_container.ts";
import type { Stdio } from "../restore_externals.ts";
import { explainSnapshot } from "./explain.ts";
import { restoreFound, type RestoreSnapshotOptions } from "./restore.ts";
import { SnapshotStore } from "./store.ts";

/**
 * Takes a container back to a snapshot: what it has done since is lost. Whether the snapshot can be restored is looked at
 * before the container is ended. It keeps its stdin, stdout and stderr.
 *
 * @throws {LifecycleError} if there is no such container or snapshot, or it cannot be restored here.
 */
export async function rewindContainer(
  id: string,
  name: string,
  options: RestoreSnapshotOptions = {},
): Promise<RestoredContainer> {
  const snapshot = new SnapshotStore(options).find(name);
  using kept = new DisposableStack();
  let { bundle } = options;
  let stdio: Stdio;
  let init: ProcessName | undefined;
  {
    using container = findContainer(id, options);
    bundle ??= container.record.bundle;
    ({ init } = container.record);
    stdio = stdioOf(container.record, kept);
  }
  const { root, store, criu } = options;
  const { conditions } = await explainSnapshot(snapshot.id, { root, store, criu, bundle, id });
  const unmet = conditions.filter(({ what, is }) => is === "unmet" && what !== "id");
  if (unmet.length > 0) {
    const why = unmet.map(({ what, why }) => `${what}: ${why}`).join("; ");
    throw new LifecycleError(`Cannot rewind container "${id}" to snapshot "${name}": ${why}; it goes on`);
  }
  await deleteContainer(id, { root, init, force: true });
  return await restoreFound(snapshot, id, { ...options, bundle }, stdio);
}

/** Those that the container has been given, as far as its first process still has them; else this process's own. */
function stdioOf({ init, stdio: given = [] }: Record, kept: DisposableStack): Stdio {
  using process = init && hold(init);
  const take = (fd: 0 | 1 | 2): number => {
    const isGiven = init && process && given[fd] !== undefined && descriptorName(init.pid, fd) === given[fd];
    return isGiven ? kept.use(takeFd(process, fd)).raw : fd;
  };
  return [take(0), take(1), take(2)];
}
