/** What came of an attack: it had its effect, it had none, or the probe did not say. */
export interface Verdict {
  readonly state: "open" | "closed" | "broken";
  /** How, or why not. */
  readonly why: string;
}

/** What a run of probes printed. */
export interface Report {
  readonly verdicts: ReadonlyMap<string, Verdict>;
  /** The probe that began and did not come to its end. */
  readonly unfinished?: string;
}

/**
 * Reads what the probe program prints: `> NAME` and `NAME open|closed|broken WHY`.
 *
 * @example
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { parseReport } from "./verdict.ts";
 * const { verdicts, unfinished } = parseReport("> bpf\nbpf closed EPERM\n> mount\n");
 * equal(verdicts.get("bpf")?.why, "EPERM");
 * equal(unfinished, "mount");
 * ```
 */
export function parseReport(text: string): Report {
  const verdicts = new Map<string, Verdict>();
  let unfinished: string | undefined;
  for (const line of text.split("\n")) {
    const begun = /^> (\S+)$/.exec(line);
    if (begun) unfinished = begun[1]!;
    const said = /^(\S+) (open|closed|broken) (.*)$/.exec(line);
    if (!said) continue;
    verdicts.set(said[1]!, { state: said[2] as Verdict["state"], why: said[3]! });
    if (said[1] === unfinished) unfinished = undefined;
  }
  return { verdicts, ...(unfinished !== undefined && { unfinished }) };
}
