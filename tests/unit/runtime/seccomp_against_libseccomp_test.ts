import { equal } from "node:assert/strict";
import { ATTRIBUTE, resolveSyscall, ScmpFilter } from "../../../ffi/seccomp.ts";
import { compileFilter } from "../../../runtime/seccomp.ts";
import { I386_NUMBERS } from "../../../runtime/seccomp/multiplexed.ts";
import { ARCHES, auditArch, returnValue, X32_BIT } from "../../../runtime/seccomp/numbers.ts";
import type { Seccomp, SeccompArg, SeccompRule } from "../../../runtime/spec/linux.ts";
import { SECCOMP_OPERATORS, type SeccompAction, type SeccompArch } from "../../../runtime/spec/words.ts";
import { AUDIT, type Call, evaluate, verdict } from "../../helpers/bpf.ts";
import { random, X86_64 } from "./_seccomp.ts";

/** Calls of every kind: common, multiplexed on i386, only on i386, only on arm, young, unknown. */
const NAMES =
  ("read write open close stat fstat poll lseek mmap mprotect brk ioctl readv access pipe select dup dup2 getpid " +
    "sendfile clone fork vfork execve exit wait4 kill uname fcntl flock fsync truncate getdents getcwd chdir rename " +
    "mkdir rmdir creat link unlink symlink readlink chmod chown lchown umask gettimeofday getrlimit sysinfo times " +
    "ptrace getuid syslog getgid setuid setgid personality statfs mlock prctl arch_prctl mount umount2 reboot gettid " +
    "futex epoll_wait openat mkdirat ppoll unshare splice utimensat timerfd_create fallocate accept4 dup3 pipe2 " +
    "prlimit64 setns getrandom memfd_create bpf execveat userfaultfd statx rseq io_uring_setup clone3 close_range " +
    "openat2 faccessat2 landlock_create_ruleset memfd_secret cachestat fchmodat2 futex_requeue " +
    "socket bind connect listen accept sendto recvfrom sendmsg recvmsg socketpair setsockopt getsockopt socketcall " +
    "semop semget semctl semtimedop msgsnd msgrcv shmat shmdt shmget ipc mmap2 fcntl64 chown32 stat64 _llseek " +
    "waitpid sigreturn ugetrlimit clock_gettime64 futex_time64 breakpoint cacheflush set_tls sync_file_range " +
    "arm_fadvise64_64 no_such_call").split(" ");
const ACTIONS: readonly SeccompAction[] = [
  "SCMP_ACT_ALLOW",
  "SCMP_ACT_ERRNO",
  "SCMP_ACT_KILL_PROCESS",
  "SCMP_ACT_TRAP",
  "SCMP_ACT_LOG",
];
const VALUES = [0n, 1n, 2n, 40n, 0x7e020000n, 0xffffffffn, 0x100000000n, 0x1_0000_0028n, (1n << 64n) - 1n];

function randomSpec(below: (below: number) => number): Seccomp {
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const defaultAction = pick(ACTIONS);
  const argument = (): SeccompArg => ({
    index: below(3),
    op: pick(SECCOMP_OPERATORS),
    value: pick(VALUES),
    valueTwo: pick(VALUES),
  });
  const rules = Array.from({ length: 1 + below(12) }, (): SeccompRule => ({
    names: Array.from({ length: 1 + below(30) }, () => pick(NAMES)),
    action: pick(ACTIONS),
    args: Array.from({ length: below(3) === 0 ? 1 + below(3) : 0 }, argument),
  }));
  const extra = ["SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64"] as const;
  const architectures: SeccompArch[] = ["SCMP_ARCH_X86_64", ...extra.filter(() => below(3) === 0)];
  return { defaultAction, architectures, syscalls: rules };
}

/** Calls that i386 also makes through socketcall(2), number 102, and ipc(2), number 117. */
const IN_SOCKETCALL = /^(socket|bind|connect|listen|accept|send(to|msg)|recv|shutdown|[gs]etsockopt)/;
const IN_IPC = /^(sem|msg|shm|ipc)/;

function numberOn(name: string, token: number): number {
  return (token === ARCHES.SCMP_ARCH_X86 ? I386_NUMBERS.get(name) : undefined) ?? resolveSyscall(name, token);
}

/** What libseccomp makes of the rules without conditions, with runc's stub that answers ENOSYS above the last call. */
function reference(seccomp: Seccomp): (call: Call) => number {
  const { defaultAction, architectures = [], syscalls = [] } = seccomp;
  const fallback = returnValue(defaultAction);
  const last = new Map<number, number>();
  for (const { names, action } of syscalls) {
    for (const name of names) {
      for (const arch of architectures) {
        const outer = arch !== "SCMP_ARCH_X86" || returnValue(action) === fallback
          ? 0
          : IN_SOCKETCALL.test(name)
          ? 102
          : IN_IPC.test(name)
          ? 117
          : 0;
        const token = ARCHES[arch];
        last.set(token, Math.max(last.get(token) ?? 0, outer, numberOn(name, token)));
      }
    }
  }
  const programs = new Map(
    architectures.map((arch) => [ARCHES[arch], withoutConditions(seccomp, ARCHES[arch])]),
  );
  return (call) => {
    const { nr, arch = AUDIT.x86_64 } = call;
    const isX32 = arch === AUDIT.x86_64 && (nr & X32_BIT) !== 0;
    const highest = last.get(isX32 ? ARCHES.SCMP_ARCH_X32 : arch);
    const open = defaultAction === "SCMP_ACT_ALLOW" || defaultAction === "SCMP_ACT_LOG";
    if (!open && highest && (nr >>> 0) > highest) return 0x00050000 + 38;
    // Without x32 in it, the program for x86-64 knows what to do about its calls.
    const program = (isX32 ? programs.get(ARCHES.SCMP_ARCH_X32) : undefined) ?? programs.get(arch);
    return program ? evaluate(program, call) : 0x80000000;
  };
}

function withoutConditions({ defaultAction, syscalls = [] }: Seccomp, token: number): Uint8Array {
  const fallback = returnValue(defaultAction);
  using filter = new ScmpFilter(fallback);
  filter.set(ATTRIBUTE.ACT_BADARCH, 0x80000000);
  filter.only(token);
  const done = new Set<number>(); // the first rule wins
  for (const { names, action, args = [] } of syscalls) {
    const value = returnValue(action);
    for (const number of names.map((name) => resolveSyscall(name, 0))) {
      if (number === -1 || value === fallback || args.length > 0 || done.has(number)) continue;
      done.add(number);
      filter.addRule(value, number, []);
    }
  }
  return filter.program();
}

/** What one condition says, by the text of the specification. */
const HOLDS: Record<SeccompArg["op"], (value: bigint, a: bigint, b: bigint) => boolean> = {
  SCMP_CMP_NE: (value, a) => value !== a,
  SCMP_CMP_LT: (value, a) => value < a,
  SCMP_CMP_LE: (value, a) => value <= a,
  SCMP_CMP_EQ: (value, a) => value === a,
  SCMP_CMP_GE: (value, a) => value >= a,
  SCMP_CMP_GT: (value, a) => value > a,
  SCMP_CMP_MASKED_EQ: (value, a, b) => (value & a) === (b & a), // libseccomp masks both
};

const STRICTEST = [
  "SCMP_ACT_KILL_PROCESS",
  "SCMP_ACT_TRAP",
  "SCMP_ACT_ERRNO",
  "SCMP_ACT_LOG",
  "SCMP_ACT_ALLOW",
];

/** What the rules about one call say of its arguments, by the text of the specification and runc's reading of it. */
function decide(
  rules: readonly SeccompRule[],
  fallback: SeccompAction,
  args: readonly bigint[],
): SeccompAction {
  const others = rules.filter(({ action }) => action !== fallback);
  const always = others.find((rule) => rule.args?.length === 0);
  if (always) return always.action;
  const holding = others.filter((rule) => {
    const held = rule.args!.map(({ index, op, value, valueTwo }) =>
      HOLDS[op](args[index]!, BigInt(value), BigInt(valueTwo!))
    );
    const twice = new Set(rule.args!.map(({ index }) => index)).size < held.length;
    return twice ? held.includes(true) : !held.includes(false);
  });
  return STRICTEST.find((action) => holding.some((rule) => rule.action === action)) as SeccompAction ??
    fallback;
}

for (let seed = 1; seed <= 60; seed++) {
  Deno.test(`compileFilter() decides as libseccomp and the specification do, seed ${seed}`, () => {
    const below = random(seed);
    const seccomp = randomSpec(below);
    const { defaultAction, syscalls = [] } = seccomp;
    const byLibrary = reference(seccomp);
    const { program } = compileFilter(seccomp, X86_64);
    const names = [...new Set(syscalls.flatMap((one) => one.names))];
    for (const kind of ["X86_64", "X86", "X32", "ARM", "AARCH64"] as const) {
      const name = `SCMP_ARCH_${kind}` as const;
      const token = ARCHES[name];
      const first = token === ARCHES.SCMP_ARCH_X32 ? X32_BIT : 0;
      const width = kind === "X86" || kind === "ARM" ? 32 : 64; // the kernel clears the rest
      const asked = new Map<number, SeccompRule[]>();
      const blurred = new Set<number>();
      for (const one of seccomp.architectures!.includes(name) ? names : []) {
        const rules = syscalls.filter((rule) => rule.names.includes(one));
        if (!rules.some((rule) => rule.args!.length > 0)) continue;
        asked.set(numberOn(one, token), rules);
        // Which calls these are then depends on arguments that are out of sight.
        if (IN_SOCKETCALL.test(one)) blurred.add(102);
        if (IN_IPC.test(one)) blurred.add(117);
      }
      for (const nr of [...Array(620).keys(), -1 - first, 0x3fffffff].map((nr) => first + nr)) {
        if (kind === "X86" && blurred.has(nr)) continue;
        const rules = nr < 0 ? undefined : asked.get(nr);
        for (let time = rules || nr === 102 || nr === 117 ? 40 : 1; time > 0; time--) {
          const any = [0, 1, 2].map(() => time % 2 ? VALUES[below(VALUES.length)]! : BigInt(below(24)));
          const args = any.map((value) => BigInt.asUintN(width, value));
          const call = { nr, arch: auditArch(token), args };
          const expected = rules ? returnValue(decide(rules, defaultAction, args)) : byLibrary(call);
          const got = evaluate(program, call);
          if (got !== expected) equal(verdict(got), verdict(expected), `${kind} ${nr} (${args})`);
        }
      }
    }
  });
}

Deno.test("compileFilter() allows a call exactly where one of its rules holds", () => {
  const below = random(7);
  for (let round = 0; round < 200; round++) {
    const syscalls = Array.from({ length: 1 + below(4) }, (): SeccompRule => ({
      names: ["ioctl"],
      action: ACTIONS[below(ACTIONS.length)]!,
      args: Array.from({ length: 1 + below(3) }, () => ({
        index: below(4),
        op: SECCOMP_OPERATORS[below(SECCOMP_OPERATORS.length)]!,
        value: VALUES[below(VALUES.length)]!,
        valueTwo: VALUES[below(VALUES.length)]!,
      })),
    }));
    const { program } = compileFilter({ defaultAction: "SCMP_ACT_ERRNO", syscalls }, X86_64);
    for (let time = 0; time < 30; time++) {
      const args = [0, 1, 2, 3].map(() => VALUES[below(VALUES.length)]!);
      const expected = verdict(returnValue(decide(syscalls, "SCMP_ACT_ERRNO", args)));
      equal(verdict(evaluate(program, { nr: 16, args })), expected, `round ${round} (${args})`);
    }
  }
});
