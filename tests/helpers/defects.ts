import type { Arg, Op, Plan, Section, Struct } from "../../runtime/plan/op.ts";
import { op } from "../../runtime/plan/op.ts";

/** Puts a defect into a plan. */
export type Edit = (plan: Plan) => Plan;
/** Which steps: those that say so, by one process and of one call where that is given. */
export interface Which {
  readonly does: string | RegExp;
  readonly call?: Op["call"];
  readonly by?: Section["by"];
}

/** Leaves steps out; what jumps to them or from them still does. */
export function drop(which: Which): Edit {
  return alter(which, ({ does, into, label, zero }) => {
    return op(does, "let", [0], { ...(into && { into }), ...(label && { label }), ...(zero && { zero }) });
  });
}

/** Changes steps. @throws {Error} if there are none: a defect that is none would be seen by nobody. */
export function alter({ does, call, by }: Which, change: (op: Op) => Op): Edit {
  return ({ arch, sections }) => {
    let found = 0;
    const fits = (each: Op): boolean =>
      (typeof does === "string" ? each.does === does : does.test(each.does)) &&
      (call === undefined || each.call === call);
    const changed = sections.map((section) => {
      if (by !== undefined && section.by !== by) return section;
      return { ...section, ops: section.ops.map((each) => fits(each) ? (found++, change(each)) : each) };
    });
    if (found === 0) throw new Error(`Cannot put a defect in: no step does ${does}`);
    return { arch, sections: changed };
  };
}

/** Puts steps behind the last that fits. */
export function add({ does, by }: Which & { readonly by: Section["by"] }, ops: readonly Op[]): Edit {
  return ({ arch, sections }) => ({
    arch,
    sections: sections.map((section) => {
      if (section.by !== by) return section;
      const at = section.ops.findLastIndex((each) =>
        typeof does === "string" ? each.does === does : does.test(each.does)
      );
      if (at < 0) throw new Error(`Cannot put a defect in: no step does ${does}`);
      return { by, ops: section.ops.toSpliced(at + 1, 0, ...ops) };
    }),
  });
}

/** Several defects together. */
export function all(...edits: readonly Edit[]): Edit {
  return (plan) => edits.reduce((edited, edit) => edit(edited), plan);
}

/** Another value for an argument. */
export function argument(which: Which, position: number, value: Arg): Edit {
  return alter(which, (each) => ({ ...each, args: each.args.with(position, value) }));
}

/** Takes flags (or'ed numbers) out of a member of the struct that is an argument. */
export function withoutBits(which: Which, struct: string, member: string, bits: number): Edit {
  return alter(which, (each) => ({
    ...each,
    args: each.args.map((arg) => {
      if (typeof arg !== "object" || !("members" in arg) || arg.struct !== struct) return arg;
      const members = arg.members.map(([name, size, value]): Struct["members"][number] => {
        return [name, size, name === member ? BigInt(numberOf(value)) & ~BigInt(bits) : value];
      });
      return { struct, members };
    }),
  }));
}

function numberOf(value: Arg): number | bigint {
  if (typeof value === "number" || typeof value === "bigint") return value;
  if (typeof value === "object" && "named" in value) return value.value;
  throw new Error("Cannot put a defect in: the member is no number");
}
