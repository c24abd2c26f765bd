import { equal } from "node:assert/strict";
import { isGone } from "../../../../runtime/cgroup/gone.ts";

for (
  const [text, gone] of [
    // As Deno tells of a group that goes away between open and read: without a code.
    ["No such device (os error 19): readfile '/sys/fs/cgroup/cpuacct/x/cgroup.procs'", true],
    ["No such file or directory (os error 2): readfile '/x'", true],
    ["Permission denied (os error 13): readfile '/x'", false],
    ["another error", false],
  ] as const
) {
  Deno.test(`isGone() is ${gone} for "${text.slice(0, 30)}"`, () => equal(isGone(new Error(text)), gone));
}
