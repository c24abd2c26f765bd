import { stuckTests } from "../helpers/cgroup_stuck.ts";

stuckTests();
