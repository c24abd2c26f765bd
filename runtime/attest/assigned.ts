import { UNASSIGNED_ID } from "../plan/context.ts";
import type { Expected } from "./expectation.ts";

/** What is expected, with the range of ids that the launch has found. */
export function assigned({ facts, mounts }: Expected, firstId: number | undefined): Expected {
  if (firstId === undefined) return { facts, ...(mounts && { mounts }) };
  const changed = facts.map((each) => {
    if (each.fact !== "uid_map" && each.fact !== "gid_map") return each;
    return { ...each, value: each.value!.replaceAll(` ${UNASSIGNED_ID} `, ` ${firstId} `) };
  });
  return { facts: changed, ...(mounts && { mounts }) };
}
