import { relative, resolve } from "@std/path";
import { applySkips, type Case, readJunit } from "./run_junit.ts";
import type { Skip } from "./skip.ts";

/** A test or check, as the summary counts it. */
export interface Result {
  readonly name: string;
  readonly outcome: Case["outcome"];
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
  const found: Result[] = applySkips(cases, readSkips(skips)).map(({ file, name, outcome }) => {
    return { name: `${relative(root, file)}: ${name}`, outcome };
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

function readSkips(text: string): Skip[] {
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}
