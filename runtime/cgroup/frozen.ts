import { read } from "./_tree.ts";

/** The directories of a group that can be frozen. */
export interface Freezable {
  /** Its directory of version 2. */
  readonly unified?: string | undefined;
  /** Its directory with the freezer of version 1. */
  readonly freezer?: string | undefined;
}

/** Whether somebody has frozen a group itself, not one above it. */
export function isFrozen({ unified, freezer }: Freezable): boolean {
  if (unified !== undefined && read(`${unified}/cgroup.freeze`) === "1") return true;
  return freezer !== undefined && read(`${freezer}/freezer.self_freezing`) === "1";
}
