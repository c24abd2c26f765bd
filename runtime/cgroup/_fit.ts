import { LifecycleError } from "../errors.ts";
import { processes, read, tree } from "./_tree.ts";
import type { Stoppable } from "./_stop.ts";

/**
 * Refuses a group that a new container cannot have: one with processes, whose limits and end they would share, and one
 * that is frozen, in which nothing would ever begin.
 *
 * @param holder A process that may be in it, as it keeps it.
 * @throws {LifecycleError} in the words of runc, which engines know.
 */
export function checkFit({ directories, unified, freezer }: Stoppable, holder = 0): void {
  const found = new Set(directories.flatMap(tree).flatMap(processes));
  found.delete(holder);
  if (found.size > 0) {
    throw new LifecycleError(`container's cgroup is not empty: ${found.size} process(es) found`);
  }
  const frozen = (unified !== undefined && isFrozen2(unified)) ||
    (freezer !== undefined && (read(`${freezer}/freezer.state`) ?? "THAWED") !== "THAWED");
  if (frozen) throw new LifecycleError("container's cgroup unexpectedly frozen");
}

/** Whether a group or one above it is frozen: that of an empty one is only told by the files of each. */
function isFrozen2(directory: string): boolean {
  for (let at = directory; read(`${at}/cgroup.freeze`) !== undefined; at = at.slice(0, at.lastIndexOf("/"))) {
    if (read(`${at}/cgroup.freeze`) === "1") return true;
  }
  return false;
}
