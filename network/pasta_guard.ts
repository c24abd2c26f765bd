import type { Fd } from "../ffi/fd.ts";
import { executable } from "../ffi/memfd.ts";
import { reap, spawn } from "../ffi/process.ts";
import { assemble } from "../runtime/launch/image.ts";
import { SIGKILL } from "../runtime/plan/kernel.ts";
import { named, op, type Struct } from "../runtime/plan/op.ts";

const NAME = "ai-sandbox";
const ALL = 0xffffffff;
/** `struct pollfd` of descriptors 0 and 1: POLLIN says that the process has ended. */
const POLLED: Struct = {
  struct: "pollfd",
  members: [["init", 8, named("init:poll", 1n << 32n)], ["pasta", 8, named("pasta:poll", 1n << 32n | 1n)]],
};

/** A process that ends pasta; it ends itself when either has ended. */
export interface Guard extends Disposable {
  readonly pid: number;
}

/**
 * Ends pasta as soon as the first process of its sandbox has ended, whoever of us lives then: pasta itself does not see
 * that, and keeps the namespace.
 */
export function guardPasta(init: Fd, pasta: Fd): Guard {
  const [wait, kill] = ["wait for the end of init or of pasta", "end pasta"];
  const ops = [
    op("leave the caller's session", "setsid", [], { ignore: ["EPERM"] }),
    op("leave the caller's directory", "chdir", ["/"]),
    op("close what was inherited", "close_range", [2, ALL, 0]),
    op(wait, "ppoll", [POLLED, 2, 0, 0, 8], { failed: "kill" }),
    op(kill, "pidfd_send_signal", [1, SIGKILL, 0, 0], { label: "kill", ignore: ["ESRCH"] }),
    op("end", "exit_group", [0]),
  ];
  const end = [op("end", "exit_group", [1], { label: "fail" })];
  const arch = Deno.build.arch === "x86_64" ? "x86_64" : "aarch64";
  const { elf } = assemble({ arch, sections: [{ by: "launcher", ops }, { by: "end", ops: end }] });
  using image = executable(NAME, elf);
  const pid = spawn(`/proc/self/fd/${image.raw}`, NAME, [init.raw, pasta.raw]);
  return { pid, [Symbol.dispose]: () => void reap(pid, true) };
}
