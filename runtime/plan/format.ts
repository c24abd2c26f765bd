import type { Arg, Op, Plan } from "./op.ts";

/** One step of a plan in words: who makes which call with what, and what for. */
export interface FormattedStep {
  /** Who makes the call: `launcher`, `init`, `program` or `end`. */
  readonly by: string;
  /** The call as C would write it, with where it goes on from there. */
  readonly call: string;
  /** What it is for, as in "Cannot …". */
  readonly does: string;
}

/** Every step of a plan, in the order of the image. */
export function formatSteps({ sections }: Plan): FormattedStep[] {
  return sections.flatMap(({ by, ops }) => ops.map((op) => ({ by, call: formatCall(op), does: op.does })));
}

/**
 * The plan as text, a line for each step.
 *
 * @example
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { formatPlan } from "./format.ts";
 * import { op } from "./op.ts";
 * const plan = { arch: "x86_64", sections: [{ by: "end", ops: [op("end", "exit_group", [0])] }] } as const;
 * equal(formatPlan(plan), " 1 end       exit_group(0)  # end\n");
 * ```
 */
export function formatPlan(plan: Plan): string {
  const steps = formatSteps(plan);
  const width = String(steps.length).length + 1;
  return steps.map(({ by, call, does }, index) => {
    return `${String(index + 1).padStart(width)} ${by.padEnd(9)} ${call}  # ${does}\n`;
  }).join("");
}

/** A step's call as C would write it, with where it goes on from there. */
export function formatCall({ call, args, into, ignore, label, zero, positive, failed, ignored }: Op): string {
  const words = [label === undefined ? "" : `${label}: `, `${call}(${args.map(formatArg).join(", ")})`];
  if (into !== undefined) words.push(` → ${into}`);
  const turns = [["0", zero], [">0", positive], ["error", failed], [
    ignore?.join("|"),
    ignored ?? (ignore && "next"),
  ]]
    .filter(([, target]) => target !== undefined)
    .map(([when, target]) => `${when}: ${target}`);
  if (turns.length > 0) words.push(` [${turns.join(", ")}]`);
  return words.join("");
}

function formatArg(arg: Arg): string {
  switch (typeof arg) {
    case "number":
    case "bigint":
      return String(arg);
    case "string":
      return JSON.stringify(arg);
    default:
      if ("slot" in arg) return arg.slot;
      if ("address" in arg) return `&${arg.address}`;
      if ("named" in arg) return arg.named;
      if ("bytes" in arg) return arg.shows;
      if ("inside" in arg) return `${arg.inside.shows}+${arg.offset}`;
      if ("strings" in arg) {
        return `[${
          arg.strings.map((item) => typeof item === "string" ? JSON.stringify(item) : item.shows).join(", ")
        }]`;
      }
      return formatStruct(arg.members);
  }
}

/** Members that are zero say nothing. */
function formatStruct(members: readonly (readonly [string, number, Arg])[]): string {
  const shown = members.map(([name, , value]) => [name, formatArg(value)]).filter(([, value]) =>
    value !== "0"
  );
  return `{${shown.map(([name, value]) => `${name}=${value}`).join(", ")}}`;
}
