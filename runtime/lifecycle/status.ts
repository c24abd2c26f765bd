import { isFrozen } from "../cgroup/frozen.ts";
import type { StateStatus } from "../spec/state.ts";
import { isAlive } from "../state/liveness.ts";
import type { Known } from "./container.ts";

/**
 * Where a container is in its life, as the kernel tells: nothing of that is written down that could be wrong.
 *
 * @param locked Whether the caller has the lock: then nobody is making the container.
 */
export function statusOf({ entry, record }: Pick<Known, "entry" | "record">, locked = false): StateStatus {
  const { init, phase, groups } = record;
  if (phase === "creating") return locked || entry.tryLock() ? "stopped" : "creating";
  if (!init || !isAlive(init)) return "stopped";
  const unified = groups.find(({ version }) => version === 2)?.directory;
  const freezer = groups.find(({ version, controllers }) => {
    return version === 1 && controllers.split(",").includes("freezer");
  })?.directory;
  if (isFrozen({ unified, freezer })) return "paused";
  return entry.isGateShut ? "created" : "running";
}
