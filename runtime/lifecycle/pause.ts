import type { CgroupGroup } from "../cgroup/group.ts";
import { UnsupportedError } from "../errors.ts";
import { checkMove } from "../state/moves.ts";
import { type ChoiceOptions, groupOf, type Known, lockContainer } from "./container.ts";
import { statusOf } from "./status.ts";

/**
 * Stops every process of a container where it is.
 *
 * @throws {LifecycleError} if it does not run.
 * @throws {UnsupportedError} if it has no cgroup, or none that can be frozen.
 */
export async function pauseContainer(id: string, options: ChoiceOptions = {}): Promise<void> {
  using container = await lockContainer(id, options);
  checkMove("pause", statusOf(container, true), id);
  await freezable(container).freeze();
}

/**
 * Lets a paused container go on.
 *
 * @throws {LifecycleError} if it is not paused.
 */
export async function resumeContainer(id: string, options: ChoiceOptions = {}): Promise<void> {
  using container = await lockContainer(id, options);
  checkMove("resume", statusOf(container, true), id);
  freezable(container).thaw();
}

function freezable(container: Known): CgroupGroup {
  if (container.record.groups.length > 0) return groupOf(container);
  throw new UnsupportedError("a pause", "the container has no cgroup", "create it as root");
}
