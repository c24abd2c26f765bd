import type { Bundle } from "./bundle.ts";
import { type Issue, SpecError } from "./errors.ts";
import type { Host } from "./host/facts.ts";
import type { SandboxOptions } from "./options.ts";
import type { PlanRequest } from "./plan/context.ts";
import { beneath } from "./untrusted/beneath.ts";
import { type Ceiling, DEFAULT_CEILING } from "./untrusted/ceiling.ts";
import { cutDown } from "./untrusted/cut_down.ts";
import { gatherFacts } from "./untrusted/facts.ts";
import type { Cut } from "./untrusted/rule.ts";

/** A bundle of which nothing is left that could harm anybody else. */
export interface Tamed {
  readonly bundle: Bundle;
  /** What its config.json asked for and does not get. */
  readonly cuts: readonly Cut[];
  /** Where its root and the sources of its mounts are found. */
  readonly beneath: NonNullable<PlanRequest["beneath"]>;
}

/** How many problems an error names. */
const MOST_ISSUES = 50;

/**
 * The bundle cut down to the ceiling of `options`. What the options themselves ask for comes later: it is the caller's.
 *
 * @throws {SpecError} if it cannot be run at all; or, if `strict` is asked for, for everything that would be cut.
 * @throws {UsageError} if a directory that is allowed is not there.
 *
 * @example
 * ```ts ignore
 * const { cuts } = tame(loadBundle("bundles/hello"), { untrusted: { binds: [{ path: "/usr" }] } }, probeHost());
 * ```
 */
export function tame(
  bundle: Bundle,
  { untrusted, cpus, memoryBytes, pids }: SandboxOptions,
  host: Pick<Host, "cgroups">,
): Tamed {
  const { strict = false, onCuts, ...wider } = typeof untrusted === "object" ? untrusted : {};
  const ceiling: Ceiling = { ...DEFAULT_CEILING, ...wider, cpus, memoryBytes, pids };
  const facts = gatherFacts(bundle, ceiling, host);
  const { spec, cuts, refusals } = cutDown(bundle.spec, ceiling, facts);
  const refused = [...refusals, ...(strict ? cuts.map(refusal) : [])];
  if (refused.length > 0) throw new SpecError(`${bundle.path}/config.json`, fewOf(refused));
  onCuts?.(cuts);
  return { bundle: { ...bundle, spec }, cuts, beneath: beneath(bundle.path, spec, facts) };
}

function refusal({ pointer, asked, reason }: Cut): Issue {
  return { pointer, message: `Cannot have ${asked}: ${reason}` };
}

function fewOf(issues: readonly Issue[]): readonly Issue[] {
  if (issues.length <= MOST_ISSUES) return issues;
  const more = `there are ${issues.length - MOST_ISSUES} more of these`;
  return [...issues.slice(0, MOST_ISSUES), { pointer: "", message: more }];
}
