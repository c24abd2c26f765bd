import { UnsupportedError } from "./errors.ts";
import { isEmpty } from "./limits.ts";
import type { Spec } from "./spec/config.ts";

/**
 * Refuses what a spec asks for and this version cannot apply: a control that is silently left out is worse than none.
 *
 * @throws {UnsupportedError} naming the property.
 */
export function refuseUnsupported(spec: Spec): void {
  const { linux } = spec;
  const asked: Record<string, unknown> = {
    "/linux/intelRdt": linux?.intelRdt,
  };
  for (const [pointer, value] of Object.entries(asked)) {
    if (isEmpty(value)) continue;
    throw new UnsupportedError(pointer, "this version has no support for it", "take it out of config.json");
  }
}
