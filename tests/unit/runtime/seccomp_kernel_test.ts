import { deepEqual, equal } from "node:assert/strict";
import { loadBundle, request } from "../../../runtime/bundle.ts";
import { probeHost } from "../../../runtime/host/probe.ts";
import { assemble } from "../../../runtime/launch/image.ts";
import { launch } from "../../../runtime/launch/launch.ts";
import { plan } from "../../../runtime/plan/plan.ts";
import { compileFilter } from "../../../runtime/seccomp.ts";
import type { Seccomp } from "../../../runtime/spec/linux.ts";
import { skip } from "../../helpers/skip.ts";
import { arg, rule } from "./_seccomp.ts";

const BUSYBOX = "/bin/busybox";
const [EPERM, ENOSYS, SIGSYS] = [1, 38, 31];
const PATIENCE_MS = 60_000;

interface Run {
  readonly args: readonly string[];
  readonly seccomp?: Seccomp;
  readonly noNewPrivileges?: boolean;
  /** Programs to put into the root, by name. */
  readonly files?: Readonly<Record<string, Uint8Array>>;
}

/** The end of a program in a sandbox of its own, killed if it takes too long. */
async function run({ args, seccomp, noNewPrivileges = true, files = {} }: Run): Promise<unknown> {
  const bundle = Deno.makeTempDirSync({ prefix: "ai-sandbox-seccomp-" });
  try {
    Deno.mkdirSync(`${bundle}/rootfs/bin`, { recursive: true });
    Deno.copyFileSync(BUSYBOX, `${bundle}/rootfs/bin/busybox`);
    for (const [name, bytes] of Object.entries(files)) {
      Deno.writeFileSync(`${bundle}/rootfs/bin/${name}`, bytes, { mode: 0o755 });
    }
    Deno.writeTextFileSync(`${bundle}/config.json`, config(args, noNewPrivileges));
    const host = probeHost();
    const filter = compileFilter(seccomp, host);
    const image = assemble(
      plan(request(loadBundle(bundle), { host, overlay: { kind: "tmpfs" }, form: "supervised", filter })),
    );
    await using child = launch(image, { stdin: 0, stdout: 1, stderr: 2 });
    const timer = setTimeout(() => child.signal(9), PATIENCE_MS);
    try {
      child.start();
      await child.executed.catch(() => {});
      return await child.ended;
    } finally {
      clearTimeout(timer);
    }
  } finally {
    Deno.removeSync(bundle, { recursive: true });
  }
}

function config(args: readonly string[], noNewPrivileges: boolean): string {
  const capabilities = ["CAP_KILL"];
  return JSON.stringify({
    ociVersion: "1.2.0",
    root: { path: "rootfs" },
    process: {
      args,
      cwd: "/",
      user: { uid: 0, gid: 0 },
      noNewPrivileges,
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
    },
    linux: { namespaces: ["pid", "mount", "ipc", "uts", "network"].map((type) => ({ type })) },
  });
}

/** An x86-64 program of nothing but `code`. */
function elf(code: readonly number[]): Uint8Array {
  const file = new Uint8Array(120 + code.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint32(16, 2 | (62 << 16), true); // ET_EXEC, EM_X86_64
  view.setUint32(20, 1, true);
  view.setBigUint64(24, 0x400078n, true); // entry
  view.setBigUint64(32, 64n, true); // program headers
  view.setUint32(52, 64 | (56 << 16), true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true); // PT_LOAD
  view.setUint32(68, 5, true); // read, execute
  view.setBigUint64(80, 0x400000n, true);
  view.setBigUint64(96, BigInt(file.length), true);
  view.setBigUint64(104, BigInt(file.length), true);
  view.setBigUint64(112, 0x1000n, true);
  file.set(code, 120);
  return file;
}

function imm32(value: number): number[] {
  return [...new Uint8Array(new Uint32Array([value]).buffer)];
}

/** neg eax; mov edi, eax; mov eax, exit_group; syscall */
const EXIT_WITH_ERRNO = [0xf7, 0xd8, 0x89, 0xc7, 0xb8, ...imm32(231), 0x0f, 0x05];

/** A program that ends with the errno of system call `number`, its arguments 0. */
function callProgram(number: number): Uint8Array {
  const clear = [0x31, 0xff, 0x31, 0xf6, 0x31, 0xd2]; // xor edi, edi; xor esi, esi; xor edx, edx
  return elf([...clear, 0xb8, ...imm32(number), 0x0f, 0x05, ...EXIT_WITH_ERRNO]);
}

/** The same by the i386 entry: int 0x80 (getpid, which never fails). */
const I386_PROGRAM = elf([0xb8, ...imm32(20), 0xcd, 0x80, 0x31, 0xc0, ...EXIT_WITH_ERRNO]);

const OPEN: Seccomp = { defaultAction: "SCMP_ACT_ALLOW" };
const sh = (script: string): string[] => ["/bin/busybox", "sh", "-c", script];
const MKDIR = sh("/bin/busybox mkdir /made 2>/dev/null; test -d /made");
const denied = (action: "SCMP_ACT_ERRNO" | "SCMP_ACT_KILL_PROCESS" | "SCMP_ACT_KILL"): Seccomp => ({
  ...OPEN,
  syscalls: [rule(["mkdir", "mkdirat"], action)],
});
/** What a program without a library needs, and what the steps before it take. */
const NEEDED = ["execve", "exit_group", "write", "read"];
const SETUP = "capset prctl setresuid setresgid setgroups chdir getcwd umask faccessat2 close_range capget"
  .split(" ");
const ALLOWLIST: Seccomp = {
  defaultAction: "SCMP_ACT_ERRNO",
  syscalls: [rule([...NEEDED, ...SETUP, "futex_requeue"], "SCMP_ACT_ALLOW")],
};

interface Case extends Run {
  readonly about: string;
  readonly ends: { readonly code: number } | { readonly signal: number };
}

const cases: readonly Case[] = [true, false].flatMap((noNewPrivileges): Case[] =>
  [
    { about: "leaves an allowed call alone", args: MKDIR, seccomp: OPEN, ends: { code: 0 } },
    { about: "denies a call", args: MKDIR, seccomp: denied("SCMP_ACT_ERRNO"), ends: { code: 1 } },
    {
      about: "kills by SIGSYS",
      args: ["/bin/busybox", "mkdir", "/made"],
      seccomp: denied("SCMP_ACT_KILL_PROCESS"),
      ends: { signal: SIGSYS },
    },
    {
      about: "kills the only thread by SIGSYS",
      args: ["/bin/busybox", "mkdir", "/made"],
      seccomp: denied("SCMP_ACT_KILL"),
      ends: { signal: SIGSYS },
    },
    {
      about: "denies by argument",
      args: sh("umask 077; kill -0 $$ && ! kill -CONT $$ 2>/dev/null"),
      seccomp: { ...OPEN, syscalls: [rule("kill", "SCMP_ACT_ERRNO", { args: [arg(1, "SCMP_CMP_EQ", 18)] })] },
      ends: { code: 0 },
    },
    {
      about: "answers EPERM to a call that is not listed",
      args: ["/bin/call"],
      files: { call: callProgram(83) },
      seccomp: ALLOWLIST,
      ends: { code: EPERM },
    },
    {
      about: "answers ENOSYS to a call younger than the list",
      args: ["/bin/call"],
      files: { call: callProgram(457) },
      seccomp: ALLOWLIST,
      ends: { code: ENOSYS },
    },
    {
      about: "kills for the i386 entry",
      args: ["/bin/call"],
      files: { call: I386_PROGRAM },
      seccomp: OPEN,
      ends: { signal: SIGSYS },
    },
    {
      about: "kills for an x32 call",
      args: ["/bin/call"],
      files: { call: callProgram(0x40000000 + 39) },
      seccomp: OPEN,
      ends: { signal: SIGSYS },
    },
    {
      about: "may forbid the program what the launch itself uses",
      args: ["/bin/call"],
      files: { call: callProgram(1) },
      seccomp: { ...OPEN, syscalls: [rule(["write", "read", "sendmsg", "close"], "SCMP_ACT_ERRNO")] },
      ends: { code: EPERM },
    },
  ].map((one) => ({ ...one, noNewPrivileges }) as Case)
);

for (const { about, ends, ...rest } of cases) {
  Deno.test(`a seccomp filter ${about}, noNewPrivileges ${rest.noNewPrivileges}`, async (test) => {
    if (Deno.build.arch !== "x86_64") return skip("the programs are for x86-64", test);
    if (Deno.uid() !== 0) return skip("needs root", test);
    const ending = await run(rest) as { code?: number; signal?: number };
    deepEqual({ code: ending.code, signal: ending.signal }, { code: undefined, signal: undefined, ...ends });
  });
}

for (
  const [about, seccomp] of [
    ["kills for every call", { defaultAction: "SCMP_ACT_KILL_PROCESS" }],
    ["denies every call but the end", {
      defaultAction: "SCMP_ACT_ERRNO",
      syscalls: [rule("exit_group", "SCMP_ACT_ALLOW")],
    }],
    ["denies every call, its end too", { defaultAction: "SCMP_ACT_ERRNO" }],
    ["traps every call", { defaultAction: "SCMP_ACT_TRAP" }],
  ] as const
) {
  Deno.test(`a seccomp filter that ${about} ends the launch`, async (test) => {
    if (Deno.uid() !== 0) return skip("needs root", test);
    for (const noNewPrivileges of [true, false]) {
      const begun = performance.now();
      await run({ args: ["/bin/busybox", "true"], seccomp, noNewPrivileges });
      equal(performance.now() - begun < PATIENCE_MS, true, "it hung and had to be killed");
    }
  });
}
