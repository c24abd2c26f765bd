import { UNASSIGNED_ID } from "../plan/context.ts";
import type { Expected } from "./expectation.ts";

/** What is expected, with the range of ids that the launch has found. */
export function assigned({ facts, mounts }: Expected, firstId: number | undefined): Expected {
  if (firstId === undefined) return { facts, ...(mounts && { mounts }) };
  const changed = facts.slice();
  for (let index = 0; index < changed.length; index++) {
    const each = changed[index]!;
    if (each.fact !== "uid_map" && each.fact !== "gid_map") continue;
    changed[index] = { ...each, value: each.value!.replaceAll(` ${UNASSIGNED_ID} `, ` ${firstId} `) };
  }
  return { facts: changed, ...(mounts && { mounts }) };
}
