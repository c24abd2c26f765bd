import { AttestationError } from "../errors.ts";
import { compare, UNKNOWN } from "./compare.ts";
import type { Expected } from "./expectation.ts";
import { assigned } from "./assigned.ts";
import { Sight } from "./sight.ts";

/** What init is compared with. */
export interface Attested {
  readonly expected: Expected;
  /** The first id of the range that the sandbox has, if it has one. */
  readonly firstId: number | undefined;
  /** What init has reported of itself. */
  readonly reports?: ReadonlyMap<string, Uint8Array>;
}

/**
 * Compares init, which waits at its start gate, with what was asked for.
 *
 * @param id The sandbox's name.
 * @param pid Init: a child of this process that nobody has waited for yet, so that its pid is its own.
 * @throws {AttestationError} naming every difference.
 */
export function attest(id: string, pid: number, { expected, firstId, reports }: Attested): void {
  const filters = expected.facts.some(({ fact }) => fact === "seccomp program");
  using sight = new Sight(pid, { reports, filters });
  const differences = compare(assigned(expected, firstId), sight);
  if (differences.length === 0) return;
  const shut = differences.some(({ is }) => is.startsWith(UNKNOWN) && is.includes("EACCES"));
  throw new AttestationError(id, differences, shut ? "let this process have CAP_SYS_PTRACE" : "");
}
