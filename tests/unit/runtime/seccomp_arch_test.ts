import { deepEqual, equal } from "node:assert/strict";
import { compileFilter } from "../../../runtime/seccomp.ts";
import type { Seccomp } from "../../../runtime/spec/linux.ts";
import { SECCOMP_ARCHES } from "../../../runtime/spec/words.ts";
import { AUDIT, type Call, evaluate, verdict } from "../../helpers/bpf.ts";
import { arg, ENOSYS, NR, rule, says, X32 } from "./_seccomp.ts";

const CLOSED: Seccomp = {
  defaultAction: "SCMP_ACT_ERRNO",
  syscalls: [rule(["read", "write", "clone3"], "SCMP_ACT_ALLOW"), rule("futex_requeue", "SCMP_ACT_ALLOW")],
};

for (
  const [about, call, more, expected] of [
    ["an allowed call", { nr: NR.read }, {}, "ALLOW"],
    ["a call that is not named", { nr: NR.bpf }, {}, "ERRNO(1)"],
    ["the first call that libseccomp 2.5.4 does not know", { nr: 457 }, {}, ENOSYS],
    ["a call of a kernel to come", { nr: 600 }, {}, ENOSYS],
    ["number -1", { nr: -1 }, {}, "ERRNO(1)"],
    ["an i386 call", { nr: 3, arch: AUDIT.i386 }, {}, "KILL_PROCESS"],
    ["an i386 call by an x86-64 number", { nr: NR.read, arch: AUDIT.i386 }, {}, "KILL_PROCESS"],
    ["an i386 call, only x86-64 listed", { nr: 3, arch: AUDIT.i386 }, {
      architectures: ["SCMP_ARCH_X86_64"],
    }, "KILL_PROCESS"],
    ["an i386 call, listed", { nr: 3, arch: AUDIT.i386 }, { architectures: ["SCMP_ARCH_X86"] }, "ALLOW"],
    ["an i386 call above all, listed", { nr: 457, arch: AUDIT.i386 }, {
      architectures: ["SCMP_ARCH_X86"],
    }, ENOSYS],
    ["a native call, only i386 listed", { nr: NR.read }, { architectures: ["SCMP_ARCH_X86"] }, "ALLOW"],
    ["an x32 call", { nr: X32 + NR.read }, {}, "KILL_PROCESS"],
    ["an x32 call, listed", { nr: X32 + NR.read }, { architectures: ["SCMP_ARCH_X32"] }, "ALLOW"],
    ["an x32 call that is not named", { nr: X32 + NR.mkdir }, {
      architectures: ["SCMP_ARCH_X32"],
    }, "ERRNO(1)"],
    ["an x32 call above all", { nr: X32 + 600 }, { architectures: ["SCMP_ARCH_X32"] }, ENOSYS],
    ["an aarch64 call", { nr: 63, arch: AUDIT.aarch64 }, {}, "KILL_PROCESS"],
    ["a new call, kill by default", { nr: 600 }, { defaultAction: "SCMP_ACT_KILL_PROCESS" }, ENOSYS],
    ["a new call, trap by default", { nr: 600 }, { defaultAction: "SCMP_ACT_TRAP" }, ENOSYS],
    ["a new call, trace by default", { nr: 600 }, { defaultAction: "SCMP_ACT_TRACE" }, "TRACE(1)"],
    ["a new call, log by default", { nr: 600 }, { defaultAction: "SCMP_ACT_LOG" }, "LOG"],
    ["a new call, default errno", { nr: NR.bpf }, { defaultErrnoRet: 13 }, "ERRNO(13)"],
    ["a call above all named ones, though known", { nr: 452 }, {
      syscalls: [rule(["read", "mkdir"], "SCMP_ACT_ALLOW")],
    }, ENOSYS],
    ["any call, none named", { nr: 457 }, { syscalls: [] }, "ERRNO(1)"],
    ["a younger call than libseccomp, allowed", { nr: 462 }, {
      syscalls: [rule("mseal", "SCMP_ACT_ALLOW")],
    }, "ALLOW"],
    ["a younger x32 call, allowed", { nr: X32 + 462 }, {
      architectures: ["SCMP_ARCH_X32"],
      syscalls: [rule("mseal", "SCMP_ACT_ALLOW")],
    }, "ALLOW"],
    ["a younger call than libseccomp, denied", { nr: 458 }, {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [rule("listmount", "SCMP_ACT_ERRNO", { errnoRet: 22 })],
    }, "ERRNO(22)"],
    ["a new call, allow by default", { nr: 600 }, {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [rule("mkdir", "SCMP_ACT_ERRNO")],
    }, "ALLOW"],
    ["an i386 call, allow by default", { nr: 3, arch: AUDIT.i386 }, {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [],
    }, "KILL_PROCESS"],
  ] as readonly (readonly [string, Call, Partial<Seccomp>, string])[]
) {
  Deno.test(`compileFilter() answers ${expected} for ${about}`, () => {
    equal(says({ ...CLOSED, ...more }, call), expected);
  });
}

Deno.test("compileFilter() compiles for aarch64 anywhere", () => {
  const { program } = compileFilter({
    defaultAction: "SCMP_ACT_ERRNO",
    syscalls: [
      rule(["read", "mkdir", "openat2"], "SCMP_ACT_ALLOW"),
      rule("ioctl", "SCMP_ACT_ALLOW", { args: [arg(1, "SCMP_CMP_EQ", 5)] }),
    ],
  }, { arch: "aarch64" });
  const on = (nr: number, args?: bigint[]): string =>
    verdict(evaluate(program, { nr, arch: AUDIT.aarch64, ...(args && { args }) }));
  deepEqual([on(63), on(64), on(29, [0n, 5n]), on(29), on(437), on(438)], [
    "ALLOW",
    "ERRNO(1)",
    "ALLOW",
    "ERRNO(1)",
    "ALLOW",
    ENOSYS,
  ]);
  equal(verdict(evaluate(program, { nr: 0 })), "KILL_PROCESS");
});

const SOCKET_BUT_VSOCK = rule("socket", "SCMP_ACT_ALLOW", { args: [arg(0, "SCMP_CMP_NE", 40)] });
const KILL_VSOCK = rule("socket", "SCMP_ACT_KILL_PROCESS", { args: [arg(0, "SCMP_CMP_EQ", 40)] });

for (
  const [about, one, nr, argument, expected] of [
    ["an allowed call within socketcall", rule("bind", "SCMP_ACT_ALLOW"), 102, 2n, "ALLOW"],
    ["the same by its own number", rule("bind", "SCMP_ACT_ALLOW"), 361, 0n, "ALLOW"],
    ["another call within socketcall", rule("bind", "SCMP_ACT_ALLOW"), 102, 1n, "ERRNO(1)"],
    ["a call whose arguments matter but are out of sight", SOCKET_BUT_VSOCK, 102, 1n, "ERRNO(1)"],
    ["the same by its own number", SOCKET_BUT_VSOCK, 359, 2n, "ALLOW"],
    ["a call that some arguments make worse than the default", KILL_VSOCK, 102, 1n, "KILL_PROCESS"],
    [
      "any call within socketcall when that is allowed",
      rule("socketcall", "SCMP_ACT_ALLOW"),
      102,
      1n,
      "ALLOW",
    ],
    ["a call within ipc by an old version's number", rule("shmget", "SCMP_ACT_TRAP"), 117, 0x10017n, "TRAP"],
  ] as const
) {
  Deno.test(`compileFilter() answers ${expected} on i386 for ${about} (${nr})`, () => {
    const seccomp: Seccomp = {
      defaultAction: "SCMP_ACT_ERRNO",
      architectures: ["SCMP_ARCH_X86"],
      syscalls: [one],
    };
    equal(says(seccomp, { nr, arch: AUDIT.i386, args: [argument] }), expected);
  });
}

Deno.test("compileFilter() takes every architecture of the specification", () => {
  const syscalls = [rule("read", "SCMP_ACT_ALLOW")];
  const seccomp: Seccomp = { defaultAction: "SCMP_ACT_ERRNO", architectures: SECCOMP_ARCHES, syscalls };
  equal(says(seccomp, { nr: 63, arch: AUDIT.aarch64 }), "ALLOW");
  equal(says(seccomp, { nr: 3, arch: 0x80000016 }), "ALLOW"); // s390x
  equal(says(seccomp, { nr: 3, arch: 0x9026 }), "KILL_PROCESS"); // alpha
});
