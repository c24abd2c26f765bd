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
  /** What the worker mounts the overlay of its root in. */
  readonly layers?: Fd | undefined;
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
  { what, request, onStage, inherited = [], layers }: Job,
): Promise<Answer> {
  const image = assemble(workerPlan(worker));
  using ours = new DisposableStack();
  const [socket, theirs] = socketPair();
  ours.use(socket);
  const failure = pipe();
  ours.use(failure.read);
  let pid: number;
  {
    using given = new DisposableStack();
    given.use(theirs);
    given.use(failure.write);
    const high = (raw: number): number => given.use(duplicate(raw, FREE_FD)).raw;
    const nothing = high(given.use(open("/dev/null", O_RDWR)).raw);
    const file = given.use(given.use(executable("criu", image.elf)).duplicate(FREE_FD));
    const fds = [nothing, nothing, nothing, high(theirs.raw), high(failure.write.raw)];
    pid = spawn(`/proc/self/fd/${file.raw}`, "criu", [
      ...fds,
      ...inherited.map(({ fd }) => high(fd)),
      ...(layers ? [high(layers.raw)] : []),
    ]);
  }
  try {
    using criu = openPidFd(pid);
    throwIfFailed(failure.read, image);
    const numbered = inherited.map(({ key }, index) => [FIRST_INHERITED_FD + index, key] as const);
    const result = await library.run(what, { ...request, inherited: numbered }, socket, onStage).catch(
      (error) => {
        // A stage was refused. CRIU would wait for the dead, who wait for CRIU, if there are several.
        signalPidFd(criu, SIGKILL);
        throw error;
      },
    );
    if (result >= 0) return { result };
    if (!isRefusal(result)) signalPidFd(criu, SIGKILL); // it does not talk any more
    return { refused: result };
  } finally {
    await waitFor(pid);
  }
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
