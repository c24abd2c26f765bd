import { type CriuJob, type CriuRequest, type CriuStage, isRefusal } from "../ffi/criu.ts";
import { check } from "../ffi/errno.ts";
import { duplicate, type Fd, open, pipe, socketPair } from "../ffi/fd.ts";
import { libc } from "../ffi/libc.ts";
import { executable } from "../ffi/memfd.ts";
import { openPidFd, reap, signalPidFd, spawn } from "../ffi/process.ts";
import { LaunchError } from "../runtime/launch/launch_error.ts";
import { assemble, stepAt } from "../runtime/launch/image.ts";
import { EPOLLIN, reactor } from "../runtime/launch/reactor.ts";
import type { InstalledCriu } from "./installed.ts";
import type { Arch } from "../runtime/plan/abi.ts";
import { FIRST_INHERITED_FD, workerPlan, type WorkerRequest } from "./worker_plan.ts";

const [O_RDWR, SIGKILL] = [2, 9];
/** Above all numbers that the process is to find its descriptors at. */
const FREE_FD = 64;

/** What CRIU is started for. */
export interface Job {
  readonly what: CriuJob;
  readonly request: CriuRequest;
  readonly onStage?: (stage: CriuStage) => void;
  /** Descriptors for the container, by what they take the place of; they stay the caller's. */
  readonly inherited?: readonly { readonly fd: number; readonly key: string }[];
  /** What only the worker takes, in the order of its descriptors after those. */
  readonly more?: readonly Fd[];
}

/** What CRIU answered. */
export type Answer = { readonly result: number } | { readonly refused: number };

/**
 * Starts CRIU, has it do one job, and waits for its end.
 *
 * @throws {LaunchError} if it cannot be started.
 */
export async function runCriu(
  { library }: InstalledCriu,
  worker: WorkerRequest,
  { what, request, onStage, inherited = [], more = [] }: Job,
): Promise<Answer> {
  using ours = new DisposableStack();
  const [socket, theirs] = socketPair();
  ours.use(socket);
  await using criu = await start(worker, theirs, [
    ...inherited.map(({ fd }) => fd),
    ...more.map(({ raw }) => raw),
  ]);
  const numbered = inherited.map(({ key }, index) => [FIRST_INHERITED_FD + index, key] as const);
  const result = await library.run(what, { ...request, inherited: numbered }, socket, onStage).catch(
    (error) => {
      // A stage was refused. CRIU would wait for the dead, who wait for CRIU, if there are several.
      criu.kill();
      throw error;
    },
  );
  if (result >= 0) return { result };
  if (!isRefusal(result)) criu.kill(); // it does not talk any more
  return { refused: result };
}

/** Has CRIU find out what the kernel can do, which it writes into `run`, and waits for its end. */
export async function checkKernel({ program }: InstalledCriu, arch: Arch, run: Fd): Promise<void> {
  using nothing = open("/dev/null", O_RDWR);
  await using _criu = await start({ arch, program, flags: [], checks: true }, nothing.duplicate(), [run.raw]);
}

/** Starts the process that becomes CRIU; disposing waits for its end. `theirs` is its side of the conversation. */
async function start(
  worker: WorkerRequest,
  theirs: Fd,
  more: readonly number[],
): Promise<AsyncDisposable & { kill(): void }> {
  const image = assemble(workerPlan(worker));
  const failure = pipe();
  using read = failure.read;
  let pid: number;
  {
    using given = new DisposableStack();
    given.use(theirs);
    given.use(failure.write);
    const high = (raw: number): number => given.use(duplicate(raw, FREE_FD)).raw;
    const nothing = high(given.use(open("/dev/null", O_RDWR)).raw);
    const file = given.use(given.use(executable("criu", image.elf)).duplicate(FREE_FD));
    const fds = [nothing, nothing, nothing, high(theirs.raw), high(failure.write.raw)];
    pid = spawn(`/proc/self/fd/${file.raw}`, "criu", [...fds, ...more.map(high)]);
  }
  await using parts = new AsyncDisposableStack();
  parts.defer(() => waitFor(pid));
  const criu = parts.use(openPidFd(pid));
  await reactor.ready(read, EPOLLIN); // joining cgroups takes a while
  throwIfFailed(read, image);
  const kept = parts.move();
  return {
    kill: () => {
      signalPidFd(criu, SIGKILL);
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function waitFor(pid: number): Promise<void> {
  if (reap(pid, false)) return;
  using process = openPidFd(pid);
  await reactor.ready(process, EPOLLIN);
  reap(pid, true);
}

/** The pipe ends without a word when the process has become CRIU. */
function throwIfFailed(read: Fd, image: ReturnType<typeof assemble>): void {
  const words = new BigUint64Array(2);
  const count = check(libc.read(read.raw, words, 16n), "hear of CRIU's start");
  if (count === 0) return;
  const step = stepAt(Number(words[0]));
  throw new LaunchError(image.steps[step]!, step + 1, image.steps.length, Number(words[1]));
}
