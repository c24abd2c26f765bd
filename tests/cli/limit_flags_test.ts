import { limitFlagTests, refusedFlagTests } from "../helpers/limit_flags.ts";

limitFlagTests();
refusedFlagTests();
