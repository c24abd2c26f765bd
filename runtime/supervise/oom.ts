import { attempt, SyscallError } from "../../ffi/errno.ts";
import { open } from "../../ffi/fd.ts";
import { libc } from "../../ffi/libc.ts";

const O_NONBLOCK = 0o4000;
/** The longest record that the kernel's log gives out. */
const RECORD_BYTES = 8192;
/** More than any log buffer holds. */
const MOST_RECORDS = 200_000;
const [EAGAIN, EPIPE] = [11, 32];
/** PROC_PID_INIT_INO of include/linux/proc_ns.h. */
const INITIAL_PID_NAMESPACE = "pid:[4026531836]";

/**
 * Whether the kernel killed process `pid` for want of memory, as its log says (dmesg(1), Documentation/ABI/testing/dev-kmsg).
 *
 * @returns `null` if this user may not read the log, or has other pids than the log (pid_namespaces(7)): then it cannot
 * be told from any other SIGKILL.
 */
export function wasOomKilled(pid: number): boolean | null {
  if (pidNamespace() !== INITIAL_PID_NAMESPACE) return null;
  try {
    using log = open("/dev/kmsg", O_NONBLOCK);
    const record = new Uint8Array(RECORD_BYTES);
    const decoder = new TextDecoder();
    const line = new RegExp(`out of memory.*Killed process ${pid} \\(`, "i");
    for (let count = 0; count < MOST_RECORDS; count++) {
      const length = attempt(() => libc.read(log.raw, record, BigInt(RECORD_BYTES)), EAGAIN, EPIPE);
      if (length === -EPIPE) continue; // records were overwritten while we read: what follows is still to come
      if (length <= 0) return false;
      if (line.test(decoder.decode(record.subarray(0, length)))) return true;
    }
    return false;
  } catch (error) {
    if (error instanceof SyscallError) return null;
    throw error;
  }
}

function pidNamespace(): string | undefined {
  try {
    return Deno.readLinkSync("/proc/self/ns/pid");
  } catch {
    return undefined;
  }
}
