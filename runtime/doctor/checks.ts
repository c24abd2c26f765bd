import type { Diagnosis } from "../doctor.ts";
import type { Facts } from "./facts.ts";
import { HOST_CHECKS } from "./host_checks.ts";
import { KERNEL_CHECKS } from "./kernel_checks.ts";

/** What the facts say about a host. */
export function diagnosis(facts: Facts): Diagnosis {
  const rows = [...KERNEL_CHECKS, ...HOST_CHECKS].flatMap((check) => check(facts));
  return { able: !rows.some(({ essential, answer }) => essential && answer === "missing"), rows };
}
