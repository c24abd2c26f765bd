import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { SpecError } from "../../../runtime/errors.ts";
import { compileFilter } from "../../../runtime/seccomp.ts";
import type { Seccomp, SeccompArg } from "../../../runtime/spec/linux.ts";
import { SECCOMP_OPERATORS } from "../../../runtime/spec/words.ts";
import { evaluate, verdict } from "../../helpers/bpf.ts";
import { arg, ENOSYS, NR, rule, says, X86_64 } from "./_seccomp.ts";

Deno.test("compileFilter() makes nothing of nothing", () => {
  equal(compileFilter(undefined, X86_64), undefined);
});

for (
  const [action, errnoRet, expected] of [
    ["SCMP_ACT_KILL", undefined, "KILL_THREAD"],
    ["SCMP_ACT_KILL_THREAD", undefined, "KILL_THREAD"],
    ["SCMP_ACT_KILL_PROCESS", undefined, "KILL_PROCESS"],
    ["SCMP_ACT_TRAP", undefined, "TRAP"],
    ["SCMP_ACT_ERRNO", undefined, "ERRNO(1)"],
    ["SCMP_ACT_ERRNO", 0, "ERRNO(0)"],
    ["SCMP_ACT_ERRNO", 4095, "ERRNO(4095)"],
    ["SCMP_ACT_TRACE", undefined, "TRACE(1)"],
    ["SCMP_ACT_TRACE", 0xffff, "TRACE(65535)"],
    ["SCMP_ACT_LOG", undefined, "LOG"],
    ["SCMP_ACT_NOTIFY", undefined, "NOTIFY"],
  ] as const
) {
  const ret = errnoRet === undefined ? {} : { errnoRet };
  Deno.test(`compileFilter() answers ${expected} for ${action} with errnoRet ${errnoRet}`, () => {
    for (const args of [[], [arg(1, "SCMP_CMP_EQ", 7)]]) {
      const seccomp: Seccomp = {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [rule("mkdir", action, { ...ret, args })],
      };
      equal(says(seccomp, { nr: NR.mkdir, args: [0n, 7n] }), expected);
      equal(says(seccomp, { nr: NR.read }), "ALLOW");
      if (action === "SCMP_ACT_NOTIFY") continue; // no default
      const { errnoRet: defaultErrnoRet } = { errnoRet };
      const other: Seccomp = {
        defaultAction: action,
        ...(defaultErrnoRet !== undefined && { defaultErrnoRet }),
        syscalls: [rule(["read", "bpf"], "SCMP_ACT_ALLOW")],
      };
      equal(says(other, { nr: NR.mkdir }), expected);
      equal(says(other, { nr: NR.read }), "ALLOW");
    }
  });
}

Deno.test("compileFilter() answers ALLOW", () => {
  const seccomp: Seccomp = { defaultAction: "SCMP_ACT_ERRNO", syscalls: [rule("mkdir", "SCMP_ACT_ALLOW")] };
  equal(says(seccomp, { nr: NR.mkdir }), "ALLOW");
});

const BIG = 0x1_2345_6789_abcdn;
const HOLDS: Record<SeccompArg["op"], (value: bigint, a: bigint, b: bigint) => boolean> = {
  SCMP_CMP_NE: (value, a) => value !== a,
  SCMP_CMP_LT: (value, a) => value < a,
  SCMP_CMP_LE: (value, a) => value <= a,
  SCMP_CMP_EQ: (value, a) => value === a,
  SCMP_CMP_GE: (value, a) => value >= a,
  SCMP_CMP_GT: (value, a) => value > a,
  SCMP_CMP_MASKED_EQ: (value, a, b) => (value & a) === b,
};
const VALUES = [0n, 1n, 2n, 0x7fffffffn, 0x80000000n, 0xffffffffn, 0x100000000n, 0x100000002n, BIG, BIG + 1n];
VALUES.push(BIG - 1n, (1n << 53n) + 1n, 1n << 63n, (1n << 64n) - 1n, 0xffffffff00000002n);

for (const op of SECCOMP_OPERATORS) {
  Deno.test(`compileFilter() compares all 64 bits with ${op}`, () => {
    for (const a of VALUES) {
      for (const b of op === "SCMP_CMP_MASKED_EQ" ? [0n, a, a & 2n, a & BIG] : [0n]) {
        for (const index of [0, 5]) {
          const { program } = compileFilter({
            defaultAction: "SCMP_ACT_ERRNO",
            syscalls: [rule("ioctl", "SCMP_ACT_ALLOW", { args: [arg(index, op, a, b)] })],
          }, X86_64);
          for (const value of VALUES) {
            const args = [3n, 3n, 3n, 3n, 3n, 3n].with(index, value);
            const expected = HOLDS[op](value, a, b) ? "ALLOW" : "ERRNO(1)";
            equal(verdict(evaluate(program, { nr: NR.ioctl, args })), expected, `${value} ${op} ${a} ${b}`);
          }
        }
      }
    }
  });
}

Deno.test("compileFilter() takes numbers and bigints alike", () => {
  const one = (value: number | bigint): Uint8Array =>
    compileFilter({
      defaultAction: "SCMP_ACT_ERRNO",
      syscalls: [rule("ioctl", "SCMP_ACT_ALLOW", { args: [arg(1, "SCMP_CMP_EQ", value)] })],
    }, X86_64).program;
  deepEqual(one(0x5401), one(0x5401n));
});

for (
  const [about, args, call, expected] of [
    ["both hold", [arg(0, "SCMP_CMP_EQ", 1), arg(1, "SCMP_CMP_EQ", 2)], [1n, 2n], "ALLOW"],
    ["only the first holds", [arg(0, "SCMP_CMP_EQ", 1), arg(1, "SCMP_CMP_EQ", 2)], [1n, 3n], "ERRNO(1)"],
    ["only the second holds", [arg(0, "SCMP_CMP_EQ", 1), arg(1, "SCMP_CMP_EQ", 2)], [2n, 2n], "ERRNO(1)"],
    ["one of two on one argument holds", [arg(0, "SCMP_CMP_EQ", 1), arg(0, "SCMP_CMP_EQ", 2)], [2n], "ALLOW"],
    [
      "none of two on one argument holds",
      [arg(0, "SCMP_CMP_EQ", 1), arg(0, "SCMP_CMP_EQ", 2)],
      [3n],
      "ERRNO(1)",
    ],
    ["two != on one argument", [arg(0, "SCMP_CMP_NE", 16), arg(0, "SCMP_CMP_NE", 40)], [40n], "ALLOW"],
    [
      "a third argument beside two on one is an alternative too",
      [arg(0, "SCMP_CMP_EQ", 1), arg(0, "SCMP_CMP_EQ", 2), arg(1, "SCMP_CMP_EQ", 9)],
      [7n, 9n],
      "ALLOW",
    ],
  ] as const
) {
  Deno.test(`compileFilter() has runc's meaning of several conditions: ${about}`, () => {
    const syscalls = [rule("socket", "SCMP_ACT_ALLOW", { args })];
    equal(says({ defaultAction: "SCMP_ACT_ERRNO", syscalls }, { nr: NR.socket, args: call }), expected);
  });
}

Deno.test("compileFilter() leaves out what does the same as the default", () => {
  const syscalls = [
    rule("mkdir", "SCMP_ACT_ERRNO", { errnoRet: 1 }),
    rule("clone", "SCMP_ACT_ALLOW", { args: [arg(0, "SCMP_CMP_MASKED_EQ", 0x7e020000)] }),
    rule("clone", "SCMP_ACT_ERRNO"),
    rule("clone3", "SCMP_ACT_ERRNO", { errnoRet: 38 }),
  ];
  const seccomp: Seccomp = { defaultAction: "SCMP_ACT_ERRNO", syscalls };
  equal(says(seccomp, { nr: NR.mkdir }), "ERRNO(1)");
  equal(says(seccomp, { nr: NR.clone, args: [0x11n] }), "ALLOW");
  equal(says(seccomp, { nr: NR.clone, args: [0x10000000n] }), "ERRNO(1)");
  equal(says(seccomp, { nr: NR.clone3 }), ENOSYS);
});

Deno.test("compileFilter() takes the first rule without conditions, as libseccomp does", () => {
  const args = [arg(0, "SCMP_CMP_EQ", 1)];
  const [trap, allow] = [rule("mkdir", "SCMP_ACT_TRAP"), rule("mkdir", "SCMP_ACT_ALLOW")];
  for (const syscalls of [[trap, allow], [{ ...allow, args }, trap], [trap, { ...allow, args }]]) {
    equal(says({ defaultAction: "SCMP_ACT_ERRNO", syscalls }, { nr: NR.mkdir, args: [1n] }), "TRAP");
  }
});

Deno.test("compileFilter() takes the strictest of the rules that hold", () => {
  const actions = ["SCMP_ACT_ALLOW", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"] as const;
  const syscalls = actions.map((action, index) =>
    rule("mkdir", action, { args: [arg(0, "SCMP_CMP_GE", 1), arg(1, "SCMP_CMP_GE", 2 - index)] })
  );
  const seccomp: Seccomp = { defaultAction: "SCMP_ACT_ERRNO", syscalls };
  const answers = [[0n, 9n], [1n, 0n], [1n, 1n], [1n, 2n]].map((args) =>
    says(seccomp, { nr: NR.mkdir, args })
  );
  deepEqual(answers, ["ERRNO(1)", "TRAP", "KILL_PROCESS", "KILL_PROCESS"]);
});

// libseccomp 2.5.4 answers ERRNO(1): its tree of comparisons forgets the first one.
Deno.test("compileFilter() allows what one of several overlapping rules allows", () => {
  const syscalls = [
    rule("ioctl", "SCMP_ACT_ALLOW", { args: [arg(2, "SCMP_CMP_LT", 1n << 32n)] }),
    rule("ioctl", "SCMP_ACT_ALLOW", { args: [arg(2, "SCMP_CMP_EQ", 2), arg(2, "SCMP_CMP_LT", 40)] }),
  ];
  equal(says({ defaultAction: "SCMP_ACT_ERRNO", syscalls }, { nr: NR.ioctl, args: [0n, 0n, 40n] }), "ALLOW");
});

Deno.test("compileFilter() makes the conditions of a rule once for all its names", () => {
  const names = [
    ...Object.keys(NR),
    "open",
    "close",
    "stat",
    "fstat",
    "poll",
    "mmap",
    "brk",
    "dup",
    "getpid",
  ];
  const args = Array.from({ length: 300 }, (_, index) => arg(1, "SCMP_CMP_EQ", index));
  const seccomp: Seccomp = {
    defaultAction: "SCMP_ACT_ERRNO",
    syscalls: [rule(names, "SCMP_ACT_ALLOW", { args })],
  };
  equal(says(seccomp, { nr: NR.bpf, args: [0n, 299n] }), "ALLOW");
  equal(says(seccomp, { nr: NR.mkdir, args: [0n, 300n] }), "ERRNO(1)");
});

Deno.test("compileFilter() tells which calls nobody knows", () => {
  const syscalls = [
    rule(["read", "no_such_call", "chown32", "mseal"], "SCMP_ACT_ALLOW"),
    rule("nor_this", "SCMP_ACT_ALLOW", { args: [arg(0, "SCMP_CMP_EQ", 1)] }),
  ];
  deepEqual(compileFilter({ defaultAction: "SCMP_ACT_ERRNO", syscalls }, X86_64).ignored, [
    "no_such_call",
    "nor_this",
  ]);
});

for (
  const [flags, notify, expected] of [
    [[], false, 0],
    [["SECCOMP_FILTER_FLAG_TSYNC"], false, 0],
    [["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"], false, 6],
    [["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"], false, 0],
    [[], true, 8],
    [["SECCOMP_FILTER_FLAG_TSYNC"], true, 8],
    [["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"], true, 0x28],
  ] as const
) {
  Deno.test(`compileFilter() makes flags ${expected} of [${flags}]${notify ? " with notifications" : ""}`, () => {
    const syscalls = notify ? [rule("mkdir", "SCMP_ACT_NOTIFY")] : [];
    const filter = compileFilter({ defaultAction: "SCMP_ACT_ALLOW", flags, syscalls }, X86_64);
    deepEqual([filter.flags, filter.notify], [expected, notify]);
  });
}

for (
  const [about, seccomp, pointer] of [
    ["an argument that does not exist", {
      syscalls: [
        rule("mkdir", "SCMP_ACT_ALLOW", { args: [arg(0, "SCMP_CMP_EQ", 1), arg(6, "SCMP_CMP_EQ", 1)] }),
      ],
    }, "/syscalls/0"],
    ["more than a filter can hold", {
      syscalls: [
        rule("ioctl", "SCMP_ACT_ALLOW", {
          args: Array.from({ length: 3000 }, (_, index) => arg(1, "SCMP_CMP_EQ", BigInt(index) << 32n)),
        }),
      ],
    }, "/syscalls"],
    ["far more than a filter can hold", {
      syscalls: [
        rule("ioctl", "SCMP_ACT_ALLOW", {
          args: Array.from({ length: 100_000 }, (_, index) => arg(1, "SCMP_CMP_EQ", index)),
        }),
      ],
    }, "/syscalls"],
  ] as readonly (readonly [string, Partial<Seccomp>, string])[]
) {
  Deno.test(`compileFilter() refuses ${about}`, () => {
    throws(() => compileFilter({ defaultAction: "SCMP_ACT_ERRNO", ...seccomp }, X86_64), (error) => {
      ok(error instanceof SpecError);
      deepEqual(error.issues.map((issue) => issue.pointer), [`/linux/seccomp${pointer}`], error.message);
      return true;
    });
  });
}
