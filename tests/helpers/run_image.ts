import { assemble, type AssembleOptions } from "../../runtime/launch/image.ts";
import type { Arch } from "../../runtime/plan/abi.ts";
import { type Op, op, type Plan, text } from "../../runtime/plan/op.ts";
import { works } from "./c_program.ts";

const QEMU = "qemu-aarch64-static";

/** The architectures whose images this machine can run: its own, and aarch64 by emulation. */
export const RUNNABLE: readonly Arch[] = [
  ...(Deno.build.arch === "x86_64" ? ["x86_64" as const] : []),
  ...(Deno.build.arch === "aarch64" || works(QEMU, "--version") ? ["aarch64" as const] : []),
];

/** How an image ended. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stdoutBytes: Uint8Array;
  readonly stderr: string;
}

/** Runs these steps; a step that fails without a word of its own writes {record, errno} to stdout and ends with 99. */
export function runOps(
  arch: Arch,
  ops: readonly Op[],
  options: AssembleOptions & { readonly env?: Record<string, string> } = {},
): Ran {
  return runPlan({ arch, sections: [{ by: "launcher", ops }, { by: "end", ops: FAIL }] }, options);
}

const FAIL: readonly Op[] = [
  op("report", "write", [1, { address: "failed" }, 16], { label: "fail" }),
  op("end", "exit_group", [99], { failed: "fail" }),
];

/** Runs a plan as a program of its own. */
export function runPlan(
  plan: Plan,
  options: AssembleOptions & { readonly env?: Record<string, string> } = {},
): Ran {
  const path = Deno.makeTempFileSync();
  try {
    Deno.writeFileSync(path, assemble(plan, options).elf);
    Deno.chmodSync(path, 0o700);
    const native = plan.arch === Deno.build.arch;
    const { code, stdout, stderr } = new Deno.Command(native ? path : QEMU, {
      args: native ? [] : [path],
      clearEnv: true,
      stdin: "null",
      env: options.env ?? {},
    }).outputSync();
    const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
    return { code, stdout: decode(stdout), stdoutBytes: stdout, stderr: decode(stderr) };
  } finally {
    Deno.removeSync(path);
  }
}

/** A step that prints a text. */
export function say(words: string, rest: Partial<Op> = {}): Op {
  const bytes = text(words);
  return op(`say ${words}`, "write", [1, bytes, bytes.bytes.length], rest);
}

/** A step that ends the program. */
export function exit(code: number | { readonly slot: string }, rest: Partial<Op> = {}): Op {
  return op("end", "exit_group", [code], rest);
}
