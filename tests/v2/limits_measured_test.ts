import { measuredTests } from "../helpers/limits_measured.ts";

measuredTests();
