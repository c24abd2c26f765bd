import { errnoMemory } from "./library.ts";
import { errnoName } from "./errno_names.ts";

/**
 * The calling thread's errno: right after a blocking call, never after a `nonblocking` one, which ran on another
 * thread. The memory is read through an alias, so that reading runs no code that could change it.
 */
export function errno(): number {
  return errnoMemory()[0]!;
}

/** What V8's look for how fast the clock is fails with. */
const ENOENT = 2;
/** ENOTSOCK to EHOSTUNREACH: no call of V8's own fails with one of them, and some of them a connection tells only once. */
const [FIRST_OF_NETWORKS, LAST_OF_NETWORKS] = [88, 113];

/**
 * Makes a call that does nothing when it fails, and makes it again unless it surely failed with what errno says: before
 * errno is read, a call of V8 itself can have failed, such as the one with which it looks, once, for how fast the clock is.
 * Whoever goes by an errno has it from here, or from {@linkcode unless} or {@linkcode check} with such a call.
 *
 * @param ordinary Errnos that are worth no second call, but for ENOENT, which may be that of the clock.
 * @returns What the call returned last, or the negative errno, as the kernel itself has it.
 */
export function attempt(call: () => number | bigint, ...ordinary: readonly number[]): number {
  const result = Number(call());
  if (result !== -1) return result;
  const why = errno();
  const isSure = ordinary.includes(why) && why !== ENOENT ||
    why >= FIRST_OF_NETWORKS && why <= LAST_OF_NETWORKS;
  const again = isSure ? -why : Number(call());
  return again === -1 ? -errno() : again;
}

/**
 * The same; nothing if the call fails with one of the ordinary errnos.
 *
 * @throws {SyscallError} if it fails with another.
 */
export function unless(
  ordinary: readonly number[],
  call: () => number | bigint,
  syscall: string,
  subject?: string,
): number | undefined {
  const result = attempt(call, ...ordinary);
  if (result >= 0) return result;
  if (ordinary.includes(-result)) return undefined;
  throw new SyscallError(syscall, -result, subject);
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

/**
 * Returns `result`, or throws what errno says when it is `-1`: what it surely says if the call itself is given, which is
 * made here ({@linkcode attempt}), for whoever goes by the errno of the error.
 */
export function check(
  result: number | bigint | (() => number | bigint),
  syscall: string,
  subject?: string,
): number {
  if (typeof result === "function") return unless([], result, syscall, subject)!;
  const number = Number(result);
  if (number === -1) throw new SyscallError(syscall, errno(), subject);
  return number;
}
