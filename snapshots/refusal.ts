import { LifecycleError } from "../runtime/errors.ts";
import { logExcerpt } from "./log.ts";

/** What CRIU has refused, with the reason that its log gives. */
export function refusal(
  what: "checkpoint" | "restore",
  { id, log, kept }: { readonly id: string; readonly log: string; readonly kept: boolean },
): LifecycleError {
  const why = logExcerpt(log) || "it ended without saying why";
  const where = kept ? `; log file: ${log}` : "; keep its log by --work-path";
  return new LifecycleError(`Cannot ${what} container "${id}": criu failed: ${why}${where}`);
}
