import { diffArrays } from "diff";
import { assemble } from "./launch/image.ts";
import { formatPlan, formatSteps, type FormattedStep } from "./plan/format.ts";
import { plan } from "./plan/plan.ts";
import type { SandboxOptions } from "./options.ts";
import { prepare } from "./prepare.ts";
import type { Cut } from "./untrusted/rule.ts";

/** A plan in words. */
export interface PlanText {
  /** Every step, in the order of the image. */
  readonly steps: readonly FormattedStep[];
  /** A line for each step. */
  readonly text: string;
  /** Size of the launcher image that it compiles to. */
  readonly imageBytes: number;
  /** What an untrusted bundle asked for and does not get. */
  readonly cuts: readonly Cut[];
}

/** Stands for the directory that is made for each run. */
const SHOWN = { path: "/tmp/ai-sandbox-own", [Symbol.dispose]: () => {} };

/**
 * What would be done for `options`, without doing it; with `fallback` it is what would be done where user namespaces
 * are forbidden.
 *
 * @throws {SpecError} with every problem of the bundle.
 */
export function planOf(options: SandboxOptions): PlanText {
  const bare = options.fallback === "landlock" ? { bare: SHOWN } : {};
  const { cuts = [], ...request } = prepare({ ...options, ...bare });
  const made = plan(request);
  return { steps: formatSteps(made), text: formatPlan(made), imageBytes: assemble(made).elf.length, cuts };
}

/** One line of a difference: in both, only in the first, or only in the second. */
export interface PlanDifference {
  /** Which of the two plans has the step. */
  readonly in: "both" | "first" | "second";
  /** The step itself. */
  readonly step: FormattedStep;
}

/** How two plans differ, step by step. */
export function diffPlans(first: PlanText, second: PlanText): PlanDifference[] {
  const same = (a: FormattedStep, b: FormattedStep): boolean =>
    a.by === b.by && a.call === b.call && a.does === b.does;
  return diffArrays([...first.steps], [...second.steps], { comparator: same }).flatMap(
    ({ added, removed, value }) => {
      return value.map((step) => ({
        in: added ? "second" as const : removed ? "first" as const : "both" as const,
        step,
      }));
    },
  );
}
