import { limitFlagTests } from "../helpers/limit_flags.ts";

limitFlagTests();
