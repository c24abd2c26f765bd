import { END_CLASSES } from "./end.ts";
import { EXHAUSTION } from "./exhaustion.ts";
import { distinct, type ScenarioClass } from "./scenario.ts";
import { START_CLASSES } from "./start.ts";
import { TARGET_CLASSES } from "./targets.ts";

/** Every attack by what a bundle contains, and by what a program takes. */
export const SCENARIOS: readonly ScenarioClass[] = distinct([
  ...TARGET_CLASSES,
  ...START_CLASSES,
  ...END_CLASSES,
  EXHAUSTION,
]);
