import { deepEqual, equal, ok } from "node:assert/strict";
import { compileFilter, type Compiler } from "../../../runtime/seccomp.ts";
import { chain } from "../../../runtime/seccomp/chain.ts";
import type { Seccomp } from "../../../runtime/spec/linux.ts";
import { AUDIT, evaluate, verdict } from "../../helpers/bpf.ts";
import { arg, ENOSYS, NR, rule, X32, X86_64 } from "./_seccomp.ts";

const USES: Seccomp = {
  defaultAction: "SCMP_ACT_ALLOW",
  syscalls: [
    rule(["ioctl", "mkdir"], "SCMP_ACT_ERRNO", {
      errnoRet: 13,
      args: [arg(1, "SCMP_CMP_MASKED_EQ", 0xf0, 0x10)],
    }),
  ],
};
const CALLS: Seccomp = {
  defaultAction: "SCMP_ACT_ERRNO",
  syscalls: [
    rule(["read", "ioctl"], "SCMP_ACT_ALLOW"),
    rule("socket", "SCMP_ACT_ALLOW", { args: [arg(0, "SCMP_CMP_EQ", 1)] }),
  ],
};

for (const compiler of ["libseccomp", "ours"] as const) {
  Deno.test(`chain() answers as the first filter, and as the second where that lets through: ${compiler}`, () => {
    const program = (seccomp: Seccomp, by: Compiler): Uint8Array =>
      compileFilter(seccomp, X86_64, "config.json", by).program;
    const [uses, calls] = [program(USES, compiler), program(CALLS, compiler)];
    const both = chain(uses, calls);
    const says = (nr: number, args: bigint[] = [], arch: number = AUDIT.x86_64): string =>
      verdict(evaluate(both, { nr, args, arch }));
    equal(both.length, uses.length + calls.length);
    deepEqual([says(NR.ioctl, [0n, 0x12n]), says(NR.mkdir, [0n, 0x12n])], ["ERRNO(13)", "ERRNO(13)"]);
    deepEqual([says(NR.ioctl, [0n, 0x20n]), says(NR.mkdir, [0n, 0x20n])], ["ALLOW", ENOSYS]);
    deepEqual([says(NR.read), says(NR.socket, [1n]), says(NR.socket, [2n])], ["ALLOW", "ALLOW", "ERRNO(1)"]);
    deepEqual([says(NR.read + X32), says(NR.read, [], AUDIT.i386)], ["KILL_PROCESS", "KILL_PROCESS"]);
    equal(verdict(evaluate(uses, { nr: NR.read })), "ALLOW", "the filters stay as they were");
  });
}

Deno.test("compileFilter() asks about many values of one argument, and of two, together", () => {
  const values = Array.from({ length: 100 }, (_, at) => 3 * at);
  const syscalls = [
    ...values.map((value) => rule("ioctl", "SCMP_ACT_TRAP", { args: [arg(1, "SCMP_CMP_EQ", value)] })),
    ...[2, 10].flatMap((family) =>
      [5, 6].map((type) =>
        rule("socket", "SCMP_ACT_KILL_PROCESS", {
          args: [arg(0, "SCMP_CMP_EQ", family), arg(1, "SCMP_CMP_MASKED_EQ", 0xf, type)],
        })
      )
    ),
    rule("mkdir", "SCMP_ACT_ERRNO", { errnoRet: 5, args: [arg(0, "SCMP_CMP_EQ", 1n << 32n)] }),
    rule("mkdir", "SCMP_ACT_ERRNO", { errnoRet: 5, args: [arg(0, "SCMP_CMP_EQ", 1n)] }),
    rule("mkdir", "SCMP_ACT_ERRNO", { errnoRet: 6, args: [arg(0, "SCMP_CMP_EQ", 2n)] }),
  ];
  const seccomp: Seccomp = { defaultAction: "SCMP_ACT_ALLOW", syscalls };
  const { program } = compileFilter(seccomp, X86_64, "config.json", "ours");
  const says = (nr: number, args: bigint[]): string => verdict(evaluate(program, { nr, args }));
  ok(program.length / 8 < 200, `${program.length / 8}`);
  for (let value = 0n; value < 310n; value++) {
    equal(says(NR.ioctl, [0n, value]), value % 3n === 0n && value < 300n ? "TRAP" : "ALLOW", `${value}`);
    equal(says(NR.ioctl, [0n, value + (1n << 32n)]), "ALLOW");
  }
  for (let family = 0n; family < 20n; family++) {
    for (let type = 0n; type < 32n; type++) {
      const isKilled = (family === 2n || family === 10n) && [5n, 6n].includes(type & 0xfn);
      equal(says(NR.socket, [family, type]), isKilled ? "KILL_PROCESS" : "ALLOW", `${family} ${type}`);
    }
  }
  const mkdir = [0n, 1n, 2n, 1n << 32n, (1n << 32n) + 1n].map((value) => says(NR.mkdir, [value]));
  deepEqual(mkdir, ["ALLOW", "ERRNO(5)", "ERRNO(6)", "ERRNO(5)", "ALLOW"]);
});
