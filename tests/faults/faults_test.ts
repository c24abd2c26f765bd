import { deepEqual, ok } from "node:assert/strict";
import { builtRuntime } from "../helpers/built.ts";
import { containerTest } from "../helpers/container_test.ts";
import { describe } from "./outcomes.ts";
import { sweepInParts } from "./parts.ts";
import type { Outcome } from "./sweep.ts";

/** How many points of all are tried here; `deno task faults` tries them all. */
const SAMPLE = 320;
/** The same points each time. */
const SEED = 1;

containerTest(
  "no fault at any sampled system call of any command leaves anything or makes it lie",
  async () => {
    console.log(`seed ${SEED}`);
    const outcomes: Outcome[] = [];
    await sweepInParts({
      program: [await builtRuntime()],
      sample: SAMPLE,
      seed: SEED,
      parts: navigator.hardwareConcurrency,
      only: [],
      hear: (outcome) => outcomes.push(outcome),
    });
    deepEqual(outcomes.filter(({ problems }) => problems.length > 0).map(describe), []);
    const hit = outcomes.filter((outcome) => outcome.hit).length;
    ok(hit >= 300, `only ${hit} points were hit`);
  },
);
