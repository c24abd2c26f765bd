import { deepEqual, equal, match, ok } from "node:assert/strict";
import { DETECTORS as NAMES } from "../../../../network/policy/policy.ts";
import { patternFlaw } from "../../../../network/policy/secret_patterns.ts";
import { DETECTORS } from "../../../../network/proxy/secrets.ts";
import { ownCpuMs } from "../../../helpers/cpu_time.ts";

Deno.test("policies know the detectors that there are", () => {
  deepEqual([...NAMES].sort(), Object.keys(DETECTORS).sort());
});

Deno.test("patternFlaw() takes patterns whose time is bounded", () => {
  for (
    const right of [
      "corp-[0-9]{8}",
      "(?:live|test)_[A-Za-z0-9*+]{16,64}",
      "\\bkey\\*?=\\+",
      "[\\]+*]{3}",
      "é\\p{L}{1,9}",
    ]
  ) {
    equal(patternFlaw(right), undefined, right);
  }
});

const WRONG: readonly (readonly [string, RegExp])[] = [
  ["(", /group/i],
  ["(a+)+$", /no upper bound/],
  ["a.*b", /"\*" has no upper bound/],
  ["a{3,}", /no upper bound/],
  ["(a{1,9}){9}", /repeats a group/],
  ["(a)\\1", /refers back/],
  ["(?<x>a)\\k<x>", /refers back/],
  ["(?=a)b", /looks ahead/],
  ["(?<!a)b", /looks ahead/],
  ["a{5000}", /more than 4096 characters/],
  ["a{0,99}a{0,99}b", /more than 4096 ways/],
];

for (const [source, flaw] of WRONG) {
  Deno.test(`patternFlaw() refuses ${source}`, () => match(patternFlaw(source) ?? "nothing", flaw));
}

Deno.test("what patternFlaw() takes is over soon on the worst text", () => {
  const source = "a{0,63}a{0,62}b";
  equal(patternFlaw(source), undefined);
  const startMs = ownCpuMs();
  equal(new RegExp(source, "u").test("a".repeat(4096)), false);
  ok(ownCpuMs() - startMs < 1000);
});
