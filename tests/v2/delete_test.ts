import { deletionTests } from "../helpers/cgroup_delete.ts";

deletionTests(["init is killed", "the supervisor is killed"]);
