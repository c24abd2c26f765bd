import type { AttackClass } from "./cases/attack.ts";
import { FILES } from "./cases/files.ts";
import { KERNEL } from "./cases/kernel.ts";
import { PROCESSES } from "./cases/processes.ts";
import { SOCKETS } from "./cases/sockets.ts";
import { SCENARIOS } from "./scenarios/all.ts";
import { SURFACE } from "./surface.ts";
import type { Verdict } from "./verdict.ts";

/** By calls and instructions that only x86_64 has. */
const X86_ONLY = /^(modify-ldt|iopl|ioperm|i386-.*|x32-entry|wide-number|setuid-(chmod|open|creat|mknod))$/;

/** Every attack of the probe program. */
export const PROBED: readonly AttackClass[] = [...KERNEL, ...SOCKETS, ...FILES, ...PROCESSES].map((each) => ({
  ...each,
  attacks: each.attacks.filter(({ name }) => Deno.build.arch === "x86_64" || !X86_ONLY.test(name)),
}));
/** Every attack there is. */
export const CLASSES: readonly AttackClass[] = [...PROBED, ...SCENARIOS];
/** The columns of the table. */
export const COLUMNS = ["control", "default", "strict"] as const;
/** One of {@linkcode COLUMNS}. */
export type Column = (typeof COLUMNS)[number];

/** What came of one attack everywhere. */
export interface Row {
  readonly kind: string;
  readonly name: string;
  readonly tries: string;
  readonly needs?: string;
  readonly verdicts: Readonly<Record<Column, Verdict>>;
}

/** Whether the attack had its effect where nothing was in its way: only then its silence elsewhere says something. */
export function isShown({ verdicts }: Row): boolean {
  return verdicts.control.state === "open";
}

/** What is wrong with a row; empty if nothing is. */
export function problems({ name, needs, verdicts }: Row): string[] {
  const found: string[] = [];
  const { control } = verdicts;
  for (const column of COLUMNS) {
    if (verdicts[column].state === "broken") {
      found.push(`${name} is broken in ${column}: ${verdicts[column].why}`);
    }
  }
  if (control.state === "closed" && needs === undefined) {
    found.push(`${name} does not fire on its control: ${control.why}`);
  }
  for (const column of ["default", "strict"] as const) {
    const { state, why } = verdicts[column];
    if (state === "open" && !(name in SURFACE)) found.push(`${name} is open under ${column}: ${why}`);
    if (state === "closed" && name in SURFACE) {
      found.push(`${name} is closed under ${column}: take it off the list`);
    }
  }
  return found;
}
