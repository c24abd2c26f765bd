import type { Row } from "./doctor/row.ts";

/** What a host has and lacks. */
export interface Diagnosis {
  /** Whether bundles can run: nothing essential is missing. */
  readonly able: boolean;
  /** One row for each thing that was looked at. */
  readonly rows: readonly Row[];
}

/**
 * Looks at everything that sandboxes use of this host, and makes three in which nothing runs.
 *
 * @example
 * ```ts
 * import { ok } from "node:assert/strict";
 * import { diagnose } from "../mod.ts";
 * const { rows } = await diagnose();
 * ok(rows.some(({ name, answer }) => name === "tmpfs" && answer === "ok"));
 * ```
 */
export async function diagnose(): Promise<Diagnosis> {
  const [{ gather }, { diagnosis }] = await Promise.all([
    import("./doctor/gather.ts"),
    import("./doctor/checks.ts"),
  ]);
  return diagnosis(await gather());
}
