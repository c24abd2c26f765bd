import { equal, throws } from "node:assert/strict";
import { forbidden, run } from "../../../../runtime/attest/permits.ts";
import { compileFilter } from "../../../../runtime/seccomp.ts";
import type { Seccomp } from "../../../../runtime/spec/linux.ts";
import { evaluate } from "../../../helpers/bpf.ts";

const ALLOW_ALL: Seccomp = { defaultAction: "SCMP_ACT_ALLOW" };
const errno = (name: string): Seccomp => ({
  ...ALLOW_ALL,
  syscalls: [{ names: [name], action: "SCMP_ACT_ERRNO" }],
});

for (
  const [what, seccomp, call] of [
    ["nothing", ALLOW_ALL, undefined],
    ["a call that is not needed", errno("mkdir"), undefined],
    ["write", errno("write"), "write"],
    ["read", errno("read"), "read"],
    ["exit_group", errno("exit_group"), "exit_group"],
    ["nothing, but asks about read", {
      ...ALLOW_ALL,
      syscalls: [{ names: ["read"], action: "SCMP_ACT_NOTIFY" }],
    }, "read"],
    [
      "nothing, but logs read",
      { ...ALLOW_ALL, syscalls: [{ names: ["read"], action: "SCMP_ACT_LOG" }] },
      undefined,
    ],
    ["to write to other descriptors", {
      ...ALLOW_ALL,
      syscalls: [{
        names: ["write"],
        action: "SCMP_ACT_ERRNO",
        args: [{ index: 0, value: 3, op: "SCMP_CMP_GT" }],
      }],
    }, undefined],
    ["to write to the status socket", {
      ...ALLOW_ALL,
      syscalls: [{
        names: ["write"],
        action: "SCMP_ACT_ERRNO",
        args: [{ index: 0, value: 3, op: "SCMP_CMP_EQ" }],
      }],
    }, "write"],
    ["all but what it lists", {
      defaultAction: "SCMP_ACT_KILL_PROCESS",
      syscalls: [{ names: ["read", "write", "exit_group"], action: "SCMP_ACT_ALLOW" }],
    }, undefined],
  ] as readonly (readonly [string, Seccomp, string | undefined])[]
) {
  for (const arch of ["x86_64", "aarch64"] as const) {
    Deno.test(`forbidden() finds ${call ?? "nothing"} in a filter for ${arch} that forbids ${what}`, () => {
      const filter = compileFilter(seccomp, { arch });
      equal(forbidden(filter, arch), call);
    });
  }
}

Deno.test("forbidden() lets an agent answer for read and exit_group, but not for write", () => {
  const asks = (name: string): Seccomp => ({
    ...ALLOW_ALL,
    syscalls: [{ names: [name], action: "SCMP_ACT_NOTIFY" }],
  });
  for (const [name, found] of [["read", undefined], ["exit_group", undefined]] as const) {
    equal(forbidden(compileFilter(asks(name), { arch: "x86_64" }), "x86_64", true), found);
  }
  equal(forbidden(compileFilter(errno("read"), { arch: "x86_64" }), "x86_64", true), "read");
});

Deno.test("run() returns what the same filter returns elsewhere, call by call", () => {
  const { program } = compileFilter(errno("mkdir"), { arch: "x86_64" });
  for (let nr = 0; nr < 500; nr++) {
    const data = new DataView(new ArrayBuffer(64));
    data.setUint32(0, nr, true);
    data.setUint32(4, 0xc000003e, true);
    equal(run(program, data), evaluate(program, { nr }));
  }
});

Deno.test("run() refuses what no filter has, and a program without an end", () => {
  const data = new DataView(new ArrayBuffer(64));
  throws(() => run(new Uint8Array([0x4d, 0, 0, 0, 0, 0, 0, 0]), data), /instruction 77/);
  throws(() => run(new Uint8Array(0), data), /no end/);
});
