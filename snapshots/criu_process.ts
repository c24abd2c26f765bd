import { check } from "../ffi/errno.ts";
import { duplicate, type Fd, open } from "../ffi/fd.ts";
import { libc } from "../ffi/libc.ts";
import { executable } from "../ffi/memfd.ts";
import { openPidFd, reap, signalPidFd, spawn } from "../ffi/process.ts";
import type { Image } from "../runtime/launch/image.ts";
import { stepAt } from "../runtime/launch/image.ts";
import { LaunchError } from "../runtime/launch/launch_error.ts";
import { EPOLLIN, reactor } from "../runtime/launch/reactor.ts";

const [O_RDWR, SIGKILL] = [2, 9];
/** Above all numbers that the process is to find its descriptors at. */
const FREE_FD = 64;

/** A process that is CRIU. Disposing waits for its end. */
export interface CriuProcess extends AsyncDisposable {
  readonly pid: number;
  kill(): void;
}

/** Starts an image whose descriptors from 3 on are these, which stay the caller's; the others are /dev/null. */
export function spawnImage({ elf }: Image, fds: readonly number[]): number {
  using given = new DisposableStack();
  const high = (raw: number): number => given.use(duplicate(raw, FREE_FD)).raw;
  const nothing = high(given.use(open("/dev/null", O_RDWR)).raw);
  const file = given.use(given.use(executable("criu", elf)).duplicate(FREE_FD));
  return spawn(`/proc/self/fd/${file.raw}`, "criu", [nothing, nothing, nothing, ...fds.map(high)]);
}

/**
 * Waits until the process that runs an image has become CRIU.
 *
 * @param told What it tells until then: the number of who becomes CRIU in its place, and the step that failed.
 * @throws {LaunchError} if a step failed.
 */
export async function becomesCriu(pid: number, told: Fd, image: Image): Promise<CriuProcess> {
  await using parts = new AsyncDisposableStack();
  parts.defer(() => waitFor(pid));
  const words = await readToEnd(told);
  const isBorn = words.length % 2 === 1; // into a cgroup, by the first one, which is done
  const number = isBorn ? Number(words[0]) : pid;
  if (isBorn) parts.defer(() => waitFor(number));
  throwIfFailed(words.subarray(isBorn ? 1 : 0), image);
  const criu = parts.use(openPidFd(number));
  const kept = parts.move();
  return {
    pid: number,
    kill: () => {
      signalPidFd(criu, SIGKILL);
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Waits for the end of a child. */
export async function waitFor(pid: number): Promise<void> {
  if (reap(pid, false)) return;
  using process = openPidFd(pid);
  await reactor.ready(process, EPOLLIN);
  reap(pid, true);
}

/** All that is told until its other side has become CRIU, or has ended. */
export async function readToEnd(read: Fd): Promise<BigUint64Array> {
  const words = new BigUint64Array(4);
  const bytes = new Uint8Array(words.buffer);
  for (let length = 0;;) {
    await reactor.ready(read, EPOLLIN); // joining cgroups takes a while
    const rest = bytes.subarray(length);
    const count = check(libc.read(read.raw, rest, BigInt(rest.length)), "hear of CRIU's start");
    if (count === 0) return words.subarray(0, length / 8);
    length += count;
  }
}

/** Which step failed, and how, if one did. */
export function throwIfFailed([step, errno]: BigUint64Array, image: Image): void {
  if (step === undefined) return;
  const index = stepAt(Number(step));
  throw new LaunchError(image.steps[index]!, index + 1, image.steps.length, Number(errno));
}
