import { resolve } from "node:path";
import type { Skip } from "./skip.ts";

/** One test of the JUnit report that `deno test --junit-path` writes. */
export interface Case {
  readonly file: string;
  readonly name: string;
  /** Where it was registered, counted from 1. */
  readonly line: number;
  readonly outcome: "passed" | "failed" | "skipped";
  /** Why it failed: the message of the error, of each step's if the test has some. */
  readonly reason?: string;
}

/** The tests of a report without their steps: a failed step has failed its test already. */
export function readJunit(xml: string): Case[] {
  const cases: Case[] = [];
  for (
    const [, attributes = "", body = ""] of xml.matchAll(/<testcase ([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs)
  ) {
    const read = (name: string): string => unescape(attributes.match(`\\b${name}="([^"]*)"`)?.[1] ?? "");
    const outcome = /<(failure|error)\b/.test(body)
      ? "failed"
      : /<skipped\b/.test(body)
      ? "skipped"
      : "passed";
    const reason = body.match(/<(?:failure|error)\b[^>]*>(.*?)<\/(?:failure|error)>/s)?.[1];
    cases.push({
      file: read("classname"),
      name: read("name"),
      line: Number(read("line")),
      outcome,
      ...(reason !== undefined && { reason: message(unescape(reason)) }),
    });
  }
  return cases.filter((one) => !isStep(one, cases)).map((one) => {
    const steps = cases.filter((step) => step.reason !== undefined && stepOf(step, one));
    const reason = steps.map((step) => `${step.name}: ${step.reason}`).join("\n");
    return steps.length > 0 ? { ...one, reason } : one;
  });
}

/** An error without the calls that led to it. */
function message(error: string): string {
  return error.split(/\n\s+at /)[0]!;
}

function stepOf(step: Case, test: Case): boolean {
  return step.file === test.file && step.name.startsWith(test.name + " > ");
}

function isStep(one: Case, cases: readonly Case[]): boolean {
  return cases.some((other) => stepOf(one, other));
}

function unescape(text: string): string {
  const names: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replace(/&(?:#(\d+)|(\w+));/g, (whole, code, name) => {
    return code ? String.fromCodePoint(Number(code)) : names[name] ?? whole;
  });
}

/** Turns passed tests that reported a skip into skipped ones; no skip turns more than one test. */
export function applySkips(cases: readonly Case[], skips: readonly Skip[]): Case[] {
  const result = [...cases];
  for (const skip of skips) {
    const at = skipped(result, skip);
    if (at >= 0) result[at] = { ...result[at]!, outcome: "skipped" };
  }
  return result;
}

/** The passed test that `skip` came from: by its name, or the last one registered before that line. */
function skipped(cases: readonly Case[], skip: Skip): number {
  if (skip.test !== undefined) {
    const named = cases.map((one, index) => ({ ...one, index })).filter((one) =>
      one.name === skip.test && one.outcome === "passed"
    );
    // The report has the file that registered the test: a helper's, perhaps.
    return (named.find((one) => resolve(one.file) === resolve(skip.file)) ?? named[0])?.index ?? -1;
  }
  let best = -1;
  for (const [index, one] of cases.entries()) {
    if (resolve(one.file) !== resolve(skip.file)) continue;
    if (one.line <= skip.line && one.line > (cases[best]?.line ?? 0)) {
      best = index;
    }
  }
  const line = cases[best]?.line;
  // Several tests of one table are registered on one line: take one that is not taken yet.
  return cases.findIndex((one) =>
    one.outcome === "passed" && one.line === line && resolve(one.file) === resolve(skip.file)
  );
}

/** How many tests passed, failed and were skipped. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Counts tests by outcome. */
export function count(cases: readonly Pick<Case, "outcome">[]): Counts {
  const of = (outcome: Case["outcome"]): number => cases.filter((one) => one.outcome === outcome).length;
  return { passed: of("passed"), failed: of("failed"), skipped: of("skipped") };
}

/** The line that ends every run: `N passed, N failed[, N skipped]`. */
export function summary({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed` + (skipped ? `, ${skipped} skipped` : "");
}
