import { fromFileUrl } from "@std/path";
import { compileFilter, type Compiler } from "../runtime/seccomp.ts";
import type { Arch } from "../runtime/host/facts.ts";
import type { SeccompArch } from "../runtime/spec/words.ts";
import { type Section, timeCells } from "./report.ts";
import { profile } from "./seccomp_profile.ts";
import { median } from "./stats.ts";

/** The architectures of a machine, its own first, and its numbers of calls. */
const MACHINES: Record<Arch, Machine> = {
  x86_64: {
    arches: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    numbers: { getppid: 110n, personality: 135n, kcmp: 312n, seccomp: 317n },
  },
  aarch64: {
    arches: ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
    numbers: { getppid: 173n, personality: 92n, kcmp: 272n, seccomp: 277n },
  },
};
const ARCH = Deno.build.arch as Arch;
const { arches: ALL, numbers: NUMBERS } = MACHINES[ARCH];
const NATIVE = ALL.slice(0, 1);
const COMPILERS: readonly Compiler[] = ["libseccomp", "ours"];
const WARM_UPS = 20;
const MAX_CALL_NS = 1000;

interface Machine {
  readonly arches: readonly SeccompArch[];
  readonly numbers: Readonly<Record<"getppid" | "personality" | "kcmp" | "seccomp", bigint>>;
}

/** Measures how long a filter takes to compile, and what it then costs a system call, against a filter all of ours. */
export async function seccomp({ runs }: { runs: number }): Promise<Section> {
  const compiled = [NATIVE, ALL].flatMap((arches) =>
    COMPILERS.map((compiler) => {
      const times = compileTimes(arches, { compiler, runs });
      const count = compile(arches, compiler).length / 8;
      return [
        `${compiler}, ${arches === ALL ? "all architectures" : "one"}`,
        ...timeCells(times),
        `${count}`,
      ];
    })
  );
  const bare = await callTimes(undefined);
  const rows = [["no filter", ...cells(bare)]];
  let added = 0;
  for (const compiler of COMPILERS) {
    const times = await callTimes(compile(ALL, compiler));
    if (compiler === "libseccomp") added = times.getppid - bare.getppid;
    rows.push([compiler, ...cells(times)]);
  }
  return {
    title: "Seccomp filters",
    tables: [
      { head: ["compile, ms", "median", "p95", "least", "instructions"], rows: compiled },
      { head: ["a call, ns", "getppid", "personality, by argument", "denied kcmp"], rows },
    ],
    targets: [
      { what: "an allowed call under the filter", measured: added, limit: MAX_CALL_NS, unit: "ns" },
    ],
    notes: [
      "A profile of hundreds of calls; three of them are decided by their arguments.",
      "Linux keeps a list of the calls that a filter always allows: those do not run it.",
    ],
  };
}

function compile(arches: readonly SeccompArch[], compiler: Compiler): Uint8Array {
  return compileFilter(profile(arches), { arch: ARCH }, "profile", compiler).program;
}

/** Milliseconds. */
function compileTimes(
  arches: readonly SeccompArch[],
  { compiler, runs }: { compiler: Compiler; runs: number },
): number[] {
  return Array.from({ length: WARM_UPS + runs }, () => {
    const begin = performance.now();
    compile(arches, compiler);
    return performance.now() - begin;
  }).slice(WARM_UPS);
}

/** Nanoseconds of one call. */
interface CallTimes {
  readonly getppid: number;
  readonly personality: number;
  readonly kcmp: number;
}

function cells({ getppid, personality, kcmp }: CallTimes): string[] {
  return [getppid, personality, kcmp].map((ns) => ns.toFixed(0));
}

/** In a process of its own: a filter stays. */
async function callTimes(program: Uint8Array | undefined): Promise<CallTimes> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", fromFileUrl(import.meta.url)],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  if (program) await writer.write(program);
  await writer.close();
  const { success, stdout } = await child.output();
  if (!success) throw new Error("Cannot measure system calls: the process with the filter failed");
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** Installs the filter that comes on stdin, and prints {@linkcode CallTimes}. */
async function measureCalls(): Promise<void> {
  const program = new Uint8Array(await new Response(Deno.stdin.readable).arrayBuffer());
  const { symbols: libc } = Deno.dlopen("libc.so.6", {
    prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
    syscall: { parameters: ["i64", "u64", "u64", "u64"], result: "i64" },
  });
  if (program.length > 0) {
    const PR_SET_NO_NEW_PRIVS = 38;
    const fprog = new BigUint64Array([BigInt(program.length / 8), address(program)]);
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n);
    const SECCOMP_SET_MODE_FILTER = 1n;
    const result = libc.syscall(NUMBERS.seccomp, SECCOMP_SET_MODE_FILTER, 0n, address(fprog));
    if (result !== 0n) throw new Error("Cannot install the filter");
  }
  const [CALLS, ROUNDS] = [5000, 30];
  const time = (number: bigint, argument: bigint): number =>
    median(Array.from({ length: ROUNDS }, () => {
      const begin = performance.now();
      for (let count = 0; count < CALLS; count++) libc.syscall(number, argument, 0n, 0n);
      return (performance.now() - begin) * 1e6 / CALLS;
    }));
  const times: CallTimes = {
    getppid: time(NUMBERS.getppid, 0n),
    personality: time(NUMBERS.personality, 0xffffffffn),
    kcmp: time(NUMBERS.kcmp, 0n),
  };
  console.log(JSON.stringify(times));
}

function address(bytes: ArrayBufferView<ArrayBuffer>): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
}

if (import.meta.main) await measureCalls();
