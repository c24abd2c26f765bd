import type { DeviceRule, Resources } from "../spec/linux.ts";
import { applyAll, changeAll, type Placed, type Undo } from "./_apply.ts";
import { deviceChanges } from "./_device_changes.ts";
import { restrictDevices } from "./_restrict_devices.ts";
import { read } from "./_tree.ts";
import { cgroupWrites, type Hierarchy, type Write } from "./files.ts";
import { Hierarchies } from "./hierarchy.ts";
import { withUsualDevices } from "./usual_devices.ts";
import { type Changed, changed } from "./merge.ts";

export type { Undo } from "./_apply.ts";

/** A directory of a group that is in use. */
export interface UsedGroup {
  readonly directory: string;
  readonly version: 1 | 2;
  /** Those of its hierarchy. */
  readonly controllers: string;
}

/**
 * Sets limits of a group whose processes run, all or none.
 *
 * @param asked What is to change; what is missing, 0 or empty stays.
 * @param kept What holds so far.
 * @returns What holds from now on, and what takes it back.
 * @throws {UnsupportedError} if this host cannot apply a limit.
 * @throws {SyscallError} if the kernel refuses a value.
 */
export function updateGroup(
  groups: readonly UsedGroup[],
  asked: Resources,
  kept: Resources,
): { readonly resources: Resources; readonly undo: Undo } {
  const hierarchies = groups.map(({ directory, version, controllers }): Hierarchy => ({
    version,
    controllers: version === 1
      ? controllers
      : (read(`${directory}/cgroup.controllers`) ?? "").replaceAll(" ", ","),
    mountPoint: directory,
    own: "/",
  }));
  const { writes, resources, devices } = planUpdate(asked, kept, hierarchies);
  const placed = (list: readonly Write[]): Placed[] =>
    list.map((one) => ({ one, directory: one.mountPoint }));
  const undo = changeAll(placed(writes));
  if (devices === undefined) return { resources, undo };
  const { now, before } = devices;
  const undoAll = (): void => {
    applyAll(placed(before.writes));
    restrictDevices(groups, before.rules, true);
    undo();
  };
  try {
    applyAll(placed(now.writes));
    restrictDevices(groups, now.rules, true);
    return { resources, undo: undoAll };
  } catch (error) {
    undoAll();
    throw error;
  }
}

/** Device rules, and what to write to version 1 so that they hold. */
interface Rules {
  readonly rules: readonly DeviceRule[];
  readonly writes: readonly Write[];
}

/** What an update does, as data. */
export interface UpdatePlan extends Pick<Changed, "resources"> {
  /** Without those for devices. */
  readonly writes: readonly Write[];
  /** The device rules, if they change. */
  readonly devices?: { readonly now: Rules; readonly before: Rules };
}

/**
 * What to write in groups in use so that `asked` holds; each hierarchy is mounted where the group is.
 *
 * @throws {UnsupportedError} naming the property that no hierarchy can apply.
 *
 * @example
 * ```ts
 * import { deepEqual } from "node:assert/strict";
 * const v2 = { version: 2, controllers: "cpu", mountPoint: "/g", own: "/" } as const;
 * const { writes } = planUpdate({ cpu: { quota: 5000 } }, { cpu: { period: 50_000 } }, [v2]);
 * deepEqual(writes.map(({ file, value }) => [file, value]), [["cpu.max", "5000 50000"]]);
 * ```
 */
export function planUpdate(
  asked: Resources,
  kept: Resources,
  hierarchies: readonly Hierarchy[],
): UpdatePlan {
  const { limits, resources } = changed(asked, kept);
  const writes = cgroupWrites(limits, hierarchies);
  const before = withUsualDevices(kept.devices);
  const now = withUsualDevices(asked.devices);
  if (!asked.devices?.length || text(before) === text(now)) return { writes, resources };
  const all = new Hierarchies(hierarchies);
  return {
    writes,
    resources: { ...resources, devices: asked.devices },
    devices: {
      now: { rules: now, writes: [...deviceChanges(before, now, all)] },
      before: { rules: before, writes: [...deviceChanges(now, before, all)] },
    },
  };
}

function text(rules: readonly DeviceRule[]): string {
  return JSON.stringify(rules.map(({ allow, type = "a", major = -1, minor = -1, access = "rwm" }) => {
    return [allow, type, String(major), String(minor), access];
  }));
}
