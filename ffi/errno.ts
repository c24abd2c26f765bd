import { errnoMemory } from "./library.ts";
import { errnoName } from "./errno_names.ts";

/**
 * The calling thread's errno: right after a blocking call, never after a `nonblocking` one, which ran on another
 * thread. The memory is read through an alias, so that reading runs no code that could change it.
 */
export function errno(): number {
  return errnoMemory()[0]!;
}

/**
 * Makes a call that does nothing when it fails, and makes it again if it failed otherwise than it may at any time: before
 * errno is read, a call of V8 itself can have failed, such as the one with which it looks, once, for how fast the clock is.
 *
 * @param ordinary The errno that is no failure.
 * @returns What the call returned last, whose errno this is then.
 */
export function attempt(call: () => number | bigint, ordinary: number): number {
  const result = Number(call());
  return result === -1 && errno() !== ordinary ? Number(call()) : result;
}

/** The kernel refused a system call. */
export class SyscallError extends Error {
  /** Always `SyscallError`. */
  override readonly name = "SyscallError";
  /**
   * One message with the name of the errno.
   *
   * @param syscall What was being done, as in "Cannot …".
   * @param errno The number of the error.
   * @param subject What it was done to.
   */
  constructor(readonly syscall: string, readonly errno: number, readonly subject: string = "") {
    super(`Cannot ${syscall}${subject && ` "${subject}"`}: ${errnoName(errno)}`);
  }
}

/** Returns `result`, or throws what errno says when it is `-1`. */
export function check(result: number | bigint, syscall: string, subject?: string): number {
  const number = Number(result);
  if (number === -1) throw new SyscallError(syscall, errno(), subject);
  return number;
}
