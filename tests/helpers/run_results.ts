import { relative, resolve } from "@std/path";
import { applySkips, type Case, readJunit } from "./run_junit.ts";
import type { Skip } from "./skip.ts";

/** How much of a reason the end of a run repeats. */
const REASON_LINES = 16;
const REASON_COLUMNS = 300;

/** A test or check, as the summary counts it. */
export interface Result {
  readonly name: string;
  readonly outcome: Case["outcome"];
  /** Why it failed, if there is more to say than its name does. */
  readonly reason?: string;
}

/** What a run of `deno test` leaves behind. */
export interface Run {
  /** The directory that paths of the report begin in. */
  readonly root: string;
  /** The report, if one was written. */
  readonly xml: string | undefined;
  /** What the tests wrote to `AI_SANDBOX_SKIPS`. */
  readonly skips: string | undefined;
  /** What was printed. */
  readonly output: string;
  readonly code: number;
  /** How it ended, in words. */
  readonly how: string;
}

/** The result of each test; the report counts, and what only the output shows is added. */
export function results({ root, xml, skips = "", output, code, how }: Run): Result[] {
  if (!xml) return [{ name: `deno test ${how} and without a report`, outcome: "failed" }];
  const cases = readJunit(xml).map((one) => ({ ...one, file: resolve(root, one.file) }));
  const found: Result[] = applySkips(cases, readSkips(skips)).map(({ file, name, outcome, reason }) => {
    const ran = outcome === "failed" ? moduleOf(name, output) : undefined;
    return { name: `${ran ?? relative(root, file)}: ${name}`, outcome, ...(reason && { reason }) };
  });
  for (const [, file] of output.matchAll(/^Uncaught error from (.*?) FAILED$/gm)) {
    found.push({ name: `${file} threw outside of its tests`, outcome: "failed" });
  }
  if (found.length === 0) found.push({ name: "no test ran", outcome: "failed" });
  if (code !== 0 && !found.some((one) => one.outcome === "failed")) {
    found.push({ name: `deno test ${how} although no test failed`, outcome: "failed" });
  }
  return found;
}

/** The failed ones with why, for the end of a run: who reads only that must know. Nothing if none failed. */
export function failures(found: readonly Result[]): string {
  const failed = found.filter((one) => one.outcome === "failed");
  if (failed.length === 0) return "";
  return ["", "Failed:", ...failed.flatMap(({ name, reason }) => [`  ${name}`, ...shortened(reason)])].join(
    "\n",
  );
}

function shortened(reason = ""): string[] {
  const lines = reason.split("\n").filter((line) => line.trim() !== "").map((line) => {
    return `      ${line.length > REASON_COLUMNS ? `${line.slice(0, REASON_COLUMNS)}…` : line}`;
  });
  return lines.length > REASON_LINES ? [...lines.slice(0, REASON_LINES), "      …"] : lines;
}

/** The module that a failed test belongs to, by the output: the report has the helper that registered it. */
function moduleOf(name: string, output: string): string | undefined {
  const before = output.slice(0, Math.max(0, output.lastIndexOf(`\n${name} ... `)));
  return [...before.matchAll(/^running \d+ tests? from (.*)$/gm)].at(-1)?.[1]?.replace(/^\.\//, "");
}

function readSkips(text: string): Skip[] {
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}
