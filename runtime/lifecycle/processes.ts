import { UnsupportedError } from "../errors.ts";
import { findContainer, groupOf, type StoreOptions } from "./container.ts";

/**
 * The processes of a container, by their numbers here; none when it has ended.
 *
 * @throws {LifecycleError} if there is no such container.
 * @throws {UnsupportedError} if it has no cgroup to find them by.
 */
export function containerProcesses(id: string, options: StoreOptions = {}): number[] {
  using container = findContainer(id, options);
  if (container.record.groups.length > 0) return groupOf(container).members;
  throw new UnsupportedError(
    "ps",
    "the container has no cgroup to find its processes by",
    "create it as root",
  );
}
