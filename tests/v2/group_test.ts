// The tests of groups, on a machine that has nothing but cgroup v2.
import "../cgroup_test.ts";
