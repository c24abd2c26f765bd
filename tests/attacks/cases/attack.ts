/** One attack that the probe program knows. */
export interface Attack {
  /** As the probe program calls it. */
  readonly name: string;
  /** What it tries. */
  readonly tries: string;
  /** What a kernel or a machine may lack, without which it cannot be shown to have an effect. */
  readonly needs?: string;
}

/** Attacks of one kind. */
export interface AttackClass {
  readonly title: string;
  readonly attacks: readonly Attack[];
}

/**
 * A class from a list with a line for each attack: its name, a colon, what it tries, and perhaps what it needs in
 * brackets at the end.
 *
 * @example
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { attackClass } from "./attack.ts";
 * const { attacks } = attackClass("the machine", "kcore: read the kernel's memory [CONFIG_PROC_KCORE]");
 * equal(attacks[0]?.needs, "CONFIG_PROC_KCORE");
 * ```
 */
export function attackClass(title: string, list: string): AttackClass {
  const attacks = list.trim().split("\n").map((line) => {
    const [, name, tries, needs] = /^\s*([a-z0-9-]+): (.*?)(?: \[(.*)\])?$/.exec(line) ?? [];
    if (name === undefined || tries === undefined) throw new Error(`Cannot read the attack "${line}"`);
    return { name, tries, ...(needs !== undefined && { needs }) };
  });
  return { title, attacks };
}
