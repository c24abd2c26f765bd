import { deletionTests } from "./helpers/cgroup_delete.ts";

deletionTests([
  "init is killed",
  "the supervisor is killed",
  "its whole process group is killed",
  "the supervisor is told to end",
]);
