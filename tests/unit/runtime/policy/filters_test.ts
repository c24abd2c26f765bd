import { deepEqual, equal, ok } from "node:assert/strict";
import { resolveSyscall } from "../../../../ffi/seccomp.ts";
import { builtinPolicy } from "../../../../runtime/policy/builtin.ts";
import { outcomes } from "../../../../runtime/policy/calls.ts";
import { compiledFilters } from "../../../../runtime/policy/compiled.ts";
import { policyFilters } from "../../../../runtime/policy/filters.ts";
import type { PolicyName } from "../../../../runtime/policy/names.ts";
import { policyOf } from "../../../../runtime/policy/load.ts";
import type { Policy } from "../../../../runtime/policy/policy.ts";
import { compileFilter } from "../../../../runtime/seccomp.ts";
import { AUDIT, type Call as CallData, evaluate } from "../../../helpers/bpf.ts";
import { skip } from "../../../helpers/skip.ts";

const ALLOW = 0x7fff0000;
const EPERM = 0x00050001;
const ENOSYS = 0x00050026;
const NOTIFY = 0x7fc00000;
const KILL = 0x80000000;

/** Strictest first, as the kernel ranks what several filters return (seccomp(2)). */
const RANK = [KILL, 0x00000000, 0x00030000, 0x00050000, NOTIFY, 0x7ff00000, 0x7ffc0000, ALLOW];

/** What all filters of a policy together return for a call. */
function verdict(
  policy: Policy,
  call: number | string,
  args: bigint[] = [],
  arch: number = AUDIT.x86_64,
): number {
  const nr = typeof call === "number" ? call : resolveSyscall(call, 0);
  return strictest(byLibrary(policy), { nr, arch, args });
}

/** The filters of a policy as libseccomp makes them. */
function byLibrary(policy: Policy): Uint8Array[] {
  return policyFilters(policy, { supervised: true }).map((each) =>
    compileFilter(each, { arch: "x86_64" }).program
  );
}

function strictest(programs: readonly Uint8Array[], call: CallData): number {
  const rank = (value: number): number => RANK.indexOf((value & 0xffff0000) >>> 0);
  return programs.map((program) => evaluate(program, call) >>> 0).reduce((a, b) => rank(b) < rank(a) ? b : a);
}

const S_ISUID = 0o4000n;
const UPPER = 0xffffffff00000000n;

/** Call, arguments, and what permissive, default and strict return. */
const ROWS: readonly (readonly [string | number, bigint[], number, number, number])[] = [
  ["read", [], ALLOW, ALLOW, ALLOW],
  ["execve", [], ALLOW, ALLOW, ALLOW],
  ["ptrace", [], ALLOW, EPERM, NOTIFY],
  ["mount", [], ALLOW, EPERM, NOTIFY],
  ["unshare", [0x10000000n], ALLOW, EPERM, NOTIFY],
  ["setns", [], ALLOW, EPERM, NOTIFY],
  ["bpf", [], EPERM, EPERM, NOTIFY],
  ["keyctl", [], EPERM, EPERM, NOTIFY],
  ["kexec_load", [], EPERM, EPERM, NOTIFY],
  ["open_by_handle_at", [], EPERM, EPERM, NOTIFY],
  ["io_uring_setup", [], ALLOW, ENOSYS, ENOSYS],
  ["clone3", [], ALLOW, ENOSYS, ENOSYS],
  ["openat2", [], ALLOW, ENOSYS, ENOSYS],
  ["listen", [], ALLOW, ALLOW, EPERM],
  ["clone", [0x3d0f00n], ALLOW, ALLOW, ALLOW],
  ["clone", [0x10000011n], ALLOW, EPERM, EPERM],
  ["clone", [0x40000011n], ALLOW, EPERM, EPERM],
  ["clone", [0x02000011n], ALLOW, EPERM, EPERM],
  ["socket", [1n, 1n, 0n], ALLOW, ALLOW, ALLOW],
  ["socket", [2n, 1n, 0n], ALLOW, ALLOW, ALLOW],
  ["socket", [10n, 2n, 0n], ALLOW, ALLOW, ALLOW],
  ["socket", [16n, 3n, 0n], ALLOW, ALLOW, ALLOW],
  ["socket", [16n, 3n, 12n], ALLOW, EPERM, EPERM],
  ["socket", [16n, 3n, 6n], ALLOW, EPERM, EPERM],
  ["socket", [16n, 3n, 9n], ALLOW, EPERM, EPERM],
  ["socket", [17n, 3n, 0n], ALLOW, EPERM, EPERM],
  ["socket", [38n, 5n, 0n], ALLOW, EPERM, EPERM],
  ["socket", [40n, 1n, 0n], ALLOW, EPERM, EPERM],
  ["socket", [UPPER | 40n, 1n, 0n], ALLOW, EPERM, EPERM],
  ["socketpair", [1n, 1n, 0n], ALLOW, ALLOW, ALLOW],
  ["socketpair", [30n, 1n, 0n], ALLOW, EPERM, EPERM],
  ["ioctl", [0n, 0x5401n], ALLOW, ALLOW, ALLOW],
  ["ioctl", [0n, 0x5412n], EPERM, EPERM, EPERM],
  ["ioctl", [0n, 0x100005412n], EPERM, EPERM, EPERM],
  ["ioctl", [0n, UPPER | 0x541cn], EPERM, EPERM, EPERM],
  ["ioctl", [0n, 0x5423n], ALLOW, EPERM, EPERM],
  ["setsockopt", [3n, 6n, 1n], ALLOW, ALLOW, ALLOW],
  ["setsockopt", [3n, 6n, 31n], ALLOW, EPERM, EPERM],
  ["setsockopt", [3n, UPPER | 6n, UPPER | 31n], ALLOW, EPERM, EPERM],
  ["setsockopt", [3n, 1n, 31n], ALLOW, ALLOW, ALLOW],
  ["chmod", [0n, 0o755n], ALLOW, ALLOW, ALLOW],
  ["chmod", [0n, S_ISUID | 0o755n], ALLOW, EPERM, EPERM],
  ["fchmod", [3n, 0o2755n], ALLOW, EPERM, EPERM],
  ["fchmodat", [3n, 0n, 0o6755n], ALLOW, EPERM, EPERM],
  ["openat", [0n, 0n, 0o101n, 0o644n], ALLOW, ALLOW, ALLOW],
  ["openat", [0n, 0n, 0o101n, S_ISUID], ALLOW, EPERM, EPERM],
  ["openat", [0n, 0n, 0o1n, S_ISUID], ALLOW, ALLOW, ALLOW],
  ["open", [0n, 0o100n, 0o2000n], ALLOW, EPERM, EPERM],
  ["mknodat", [0n, 0n, 0o104755n], ALLOW, EPERM, EPERM],
  ["mknod", [0n, 0o10644n], ALLOW, ALLOW, ALLOW],
  ["personality", [0n], ALLOW, ALLOW, EPERM],
  ["personality", [0x40000n], ALLOW, EPERM, EPERM],
  [9999, [], ALLOW, ENOSYS, ENOSYS],
];

for (const [call, args, ...wanted] of ROWS) {
  const shown = `${call}(${args.map((each) => `0x${each.toString(16)}`).join(", ")})`;
  Deno.test(`policies decide over ${shown}`, () => {
    const names: PolicyName[] = ["permissive", "default", "strict"];
    deepEqual(names.map((name) => verdict(builtinPolicy(name), call, args)), wanted);
  });
}

for (const name of ["permissive", "default", "strict"] as const) {
  Deno.test(`policy ${name} is one filter, which says what the two of libseccomp say`, () => {
    const policy = builtinPolicy(name);
    const [one, ...more] = compiledFilters(policy, { arch: "x86_64" });
    const two = byLibrary(policy);
    equal(more.length, 0);
    ok(one!.program.length < two[0]!.length + two[1]!.length);
    const few = ROWS.filter((_, row) => row % 7 === 0);
    for (let number = 0; number < 600; number++) {
      const named = ROWS.some(([call]) => typeof call === "string" && resolveSyscall(call, 0) === number);
      for (const [, args] of named ? ROWS : few) {
        for (const nr of [number, number + 0x40000000]) {
          const call = { nr, arch: AUDIT.x86_64, args };
          equal(evaluate(one!.program, call) >>> 0, strictest(two, call), `${nr} (${args})`);
        }
      }
      const call = { nr: number, arch: AUDIT.i386 };
      equal(evaluate(one!.program, call) >>> 0, strictest(two, call), `${number} of i386`);
    }
  });
}

Deno.test("a policy that asked for some uses of calls would have two filters, of which the stricter counts", () => {
  const standard = builtinPolicy("default");
  const when = [{ argument: 1, equals: [0x5412n] }];
  // No file can say it: the kernel would rather refuse a call than ask about it.
  const group = { name: "odd", action: "kill", reason: "none", calls: ["ioctl", "mount"], when } as const;
  const groups = [...standard.seccomp.groups, group];
  const filters = compiledFilters({ ...standard, seccomp: { ...standard.seccomp, groups } }, {
    arch: "x86_64",
  });
  deepEqual(filters.map(({ notify }) => notify), [false, true]);
  const says = (call: string, request: bigint): number =>
    strictest(filters.map(({ program }) => program), {
      nr: resolveSyscall(call, 0),
      args: [0n, request],
    });
  deepEqual([says("ioctl", 0x5401n), says("mount", 0x5412n)], [ALLOW, EPERM]);
});

Deno.test("policies kill who enters the kernel another way", () => {
  for (const name of ["permissive", "default", "strict"] as const) {
    equal(verdict(builtinPolicy(name), 20, [], AUDIT.i386), KILL, name);
    equal(verdict(builtinPolicy(name), 0x40000000 + 39), KILL, `${name}, x32`);
  }
});

Deno.test("default decides over every system call that this kernel's headers know, and says why", () => {
  const header = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
  let text: string;
  try {
    text = Deno.readTextFileSync(header);
  } catch {
    return skip(`${header} is not installed`);
  }
  const { calls } = outcomes(builtinPolicy("default"));
  const names = [...text.matchAll(/#define __NR_(\w+)/g)].map(([, name]) => name!);
  equal(names.length > 300, true);
  deepEqual(names.filter((name) => !calls.has(name)), []);
});

Deno.test("no group of default without conditions takes a call from another", () => {
  const seen = new Set<string>();
  for (const { calls, when, name } of builtinPolicy("default").seccomp.groups) {
    if (when) continue;
    for (const call of calls) {
      equal(seen.has(call), false, `${call} in ${name}`);
      seen.add(call);
    }
  }
});

Deno.test("a policy of one's own allows what the one it extends refuses", () => {
  const groups = [{ name: "debugger", action: "allow", reason: "gdb", calls: ["ptrace"] }];
  const mine = policyOf({ name: "mine", extends: "strict", seccomp: { groups } }, "mine.json");
  equal(verdict(mine, "ptrace"), ALLOW);
  equal(verdict(mine, "mount"), NOTIFY);
});

Deno.test("without a supervisor the kernel kills the caller", () => {
  const [whole] = policyFilters(builtinPolicy("strict"), { supervised: false });
  const { program, notify } = compileFilter(whole!, { arch: "x86_64" });
  equal(evaluate(program, { nr: resolveSyscall("ptrace", 0) }) >>> 0, KILL);
  equal(notify, false);
});

Deno.test("a policy that forbids seccomp can still have both of its filters installed", () => {
  const groups = [{ name: "seccomp", action: "refuse", reason: "never", calls: ["seccomp"] }];
  const mine = policyOf({ name: "mine", extends: "default", seccomp: { groups } }, "mine.json");
  const filters = policyFilters(mine, { supervised: true }).map((each) => {
    return evaluate(compileFilter(each, { arch: "x86_64" }).program, { nr: resolveSyscall("seccomp", 0) }) >>>
      0;
  });
  deepEqual(filters, [ALLOW, EPERM]);
});
