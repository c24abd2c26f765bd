import { keepEnds } from "./ends.ts";
import { check, SyscallError, unless } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";
import { placeOf } from "./look.ts";
import { addressOf, cstring } from "./memory.ts";

// Numbers of calls that older C libraries have no wrapper for; alike on every architecture since Linux 5.1.
const SYS_pidfd_open = 434n;
const SYS_pidfd_send_signal = 424n;
const SYS_pidfd_getfd = 438n;
const PID_FS_MAGIC = 0x50494446n; // linux/magic.h
const STATFS_BYTES = 120;
const ECHILD = 10;
const ESRCH = 3;

/** How a process ended and what it took; times and memory include the children that it waited for. */
export interface Ending {
  /** Exit code, or `undefined` if a signal ended it. */
  readonly code?: number;
  readonly signal?: number;
  readonly userMs: number;
  readonly systemMs: number;
  readonly peakMemoryBytes: number;
}

/** A descriptor that names a process for as long as it is held (pidfd_open(2)). */
export function openPidFd(pid: number): Fd {
  return new Fd(
    check(() => libc.syscall(SYS_pidfd_open, BigInt(pid), 0n, 0n, 0n), "open process", String(pid)),
  );
}

/**
 * A number of a process that no other gets as long as this kernel runs (statx(2) of its pidfd, Linux 6.9); nothing where
 * the kernel has none.
 */
export function inodeOfProcess(pid: number): bigint | undefined {
  using fd = openPidFd(pid);
  const info = new BigUint64Array(STATFS_BYTES / 8);
  check(libc.fstatfs(fd.raw, info), "look at process", String(pid));
  return info[0] === PID_FS_MAGIC ? placeOf(fd).inode : undefined;
}

/** A copy of the descriptor `number` of another process (pidfd_getfd(2)). */
export function takeFd(pidFd: Fd, number: number): Fd {
  const raw = libc.syscall(SYS_pidfd_getfd, BigInt(pidFd.raw), BigInt(number), 0n, 0n);
  return new Fd(check(raw, "take a descriptor of", "init"));
}

/** Sends a signal; false if the process has ended already. */
export function signalPidFd(pidFd: Fd, signal: number): boolean {
  const send = (): bigint => libc.syscall(SYS_pidfd_send_signal, BigInt(pidFd.raw), BigInt(signal), 0n, 0n);
  return unless([ESRCH], send, "send a signal") !== undefined;
}

/** Signals a child that nobody has waited for yet: until then its pid is its own (kill(2)). */
export function kill(pid: number, signal: number): void {
  check(libc.kill(pid, signal), "send a signal");
}

const WNOHANG = 1;

/** Takes the end of a child (wait4(2)); `undefined` if `wait` is false and it goes on, or somebody else has taken it. */
export function reap(pid: number, wait: boolean): Ending | undefined {
  const status = new Int32Array(1);
  const usage = new BigInt64Array(18); // struct rusage: utime, stime (sec, µs), maxrss (KiB), …
  const take = (): number => libc.wait4(pid, status, wait ? 0 : WNOHANG, usage);
  if (!unless([ECHILD], take, "wait for process", String(pid))) return undefined;
  const word = status[0]!;
  const signal = word & 0x7f;
  return {
    ...(signal === 0 ? { code: (word >> 8) & 0xff } : { signal }),
    userMs: Number(usage[0]!) * 1000 + Number(usage[1]!) / 1000,
    systemMs: Number(usage[2]!) * 1000 + Number(usage[3]!) / 1000,
    peakMemoryBytes: Number(usage[4]!) * 1024,
  };
}

/**
 * Starts a program with exactly these descriptors as its 0, 1, 2, … and an empty environment (posix_spawn(3)). The
 * descriptors must not be numbered below their count, except that one may already be in its place.
 *
 * @throws {SyscallError} if the program cannot be started.
 */
export function spawn(path: string, name: string, fds: readonly number[]): number {
  const actions = new Uint8Array(80);
  libc.posix_spawn_file_actions_init(actions);
  fds.forEach((fd, target) => libc.posix_spawn_file_actions_adddup2(actions, fd, target));
  // argv and its only string in one buffer, which the call keeps.
  const argument = cstring(name);
  const argv = new Uint8Array(16 + argument.length);
  argv.set(argument, 16);
  new BigUint64Array(argv.buffer, 0, 1)[0] = addressOf(argv) + 16n;
  keepEnds();
  const pid = new Int32Array(1);
  const failed = libc.posix_spawn(pid, cstring(path), actions, null, argv, new BigUint64Array(1));
  libc.posix_spawn_file_actions_destroy(actions);
  if (failed !== 0) throw new SyscallError("start", failed, name);
  return pid[0]!;
}
