import { deepEqual, equal, notEqual } from "node:assert/strict";
import { filterOf } from "../../../runtime/filters.ts";
import { compileFilter } from "../../../runtime/seccomp.ts";
import type { Seccomp } from "../../../runtime/spec/linux.ts";
import { arg, rule, X86_64 } from "./_seccomp.ts";

function asking(value: number | bigint, more: Partial<Seccomp> = {}): Seccomp {
  const args = [arg(1, "SCMP_CMP_EQ", value)];
  return { defaultAction: "SCMP_ACT_ERRNO", syscalls: [rule("ioctl", "SCMP_ACT_ALLOW", { args })], ...more };
}

Deno.test("filterOf() makes what compileFilter() makes, once", () => {
  const filter = filterOf(asking(7), X86_64);
  deepEqual(filter, compileFilter(asking(7), X86_64));
  equal(filterOf(asking(7, { listenerPath: "/elsewhere" }), X86_64), filter);
});

for (
  const [about, other, host] of [
    ["a value", asking(8), X86_64],
    ["more bits of a value", asking(2n ** 53n + 7n), X86_64],
    ["an action", asking(7, { defaultAction: "SCMP_ACT_KILL_PROCESS" }), X86_64],
    ["an errno", asking(7, { defaultErrnoRet: 13 }), X86_64],
    ["an architecture", asking(7, { architectures: ["SCMP_ARCH_X86"] }), X86_64],
    ["a flag", asking(7, { flags: ["SECCOMP_FILTER_FLAG_LOG"] }), X86_64],
    ["the machine", asking(7), { arch: "aarch64" }],
  ] as const
) {
  Deno.test(`filterOf() makes another filter where ${about} differs`, () => {
    const filter = filterOf(other, host);
    notEqual(filter, filterOf(asking(7), X86_64));
    deepEqual(filter, compileFilter(other, host));
  });
}
