import { deepEqual } from "node:assert/strict";
import type { Spec } from "../../../../runtime/spec/config.ts";
import { validateSpec } from "../../../../runtime/spec/validate.ts";
import { type Part, whole } from "./_samples.ts";

/** A name, what is given, and the issues as "pointer: message" (none: it is taken). */
export type Case = readonly [name: string, spec: Part | Spec, ...issues: string[]];

/** One test a case: validateSpec() says exactly these issues. */
export function testRules(cases: readonly Case[], complete: (part: Part) => Spec = whole): void {
  for (const [name, part, ...issues] of cases) {
    Deno.test(`validateSpec() ${issues.length > 0 ? "refuses" : "takes"} ${name}`, () => {
      const found = validateSpec(complete(part as Part)).map(({ pointer, message }) =>
        `${pointer}: ${message}`
      );
      deepEqual(found, issues);
    });
  }
}
