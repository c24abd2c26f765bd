import { type CriuJob, type CriuRequest, type CriuStage, isRefusal } from "../ffi/criu.ts";
import { check } from "../ffi/errno.ts";
import { openDirectory } from "../ffi/directory.ts";
import { duplicate, type Fd, open, pipe, socketPair } from "../ffi/fd.ts";
import { libc } from "../ffi/libc.ts";
import { executable } from "../ffi/memfd.ts";
import { openPidFd, reap, signalPidFd, spawn } from "../ffi/process.ts";
import { LaunchError } from "../runtime/launch/launch_error.ts";
import { assemble, stepAt } from "../runtime/launch/image.ts";
import { EPOLLIN, reactor } from "../runtime/launch/reactor.ts";
import type { InstalledCriu } from "./installed.ts";
import type { Arch } from "../runtime/plan/abi.ts";
import { withoutTls } from "./without_tls.ts";
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
  /** Path of the work directory if CRIU mounts in it, which takes the directory of its own mount namespace. */
  readonly mountsIn?: string | undefined;
  /** Is called when CRIU has been told of the job, and works. */
  readonly meanwhile?: () => void;
  /** CRIU is started before it, and hears of the job after it. */
  readonly ready?: Promise<void> | undefined;
}

/** What CRIU answered. */
export type Answer = { readonly result: number } | { readonly refused: number };

/**
 * Starts CRIU, has it do one job, and waits for its end.
 *
 * @throws {LaunchError} if it cannot be started.
 */
export async function runCriu(
  { library, loader, version }: InstalledCriu,
  worker: WorkerRequest,
  { what, request, onStage, meanwhile, inherited = [], more = [], mountsIn, ready }: Job,
): Promise<Answer> {
  using ours = new DisposableStack();
  const [socket, theirs] = socketPair();
  ours.use(socket);
  const given = [...inherited.map(({ fd }) => fd), ...more.map(({ raw }) => raw)];
  const first = loader && withoutTls(worker.arch, version);
  if (first) given.push(ours.use(first).raw);
  const preload = first && FIRST_INHERITED_FD + given.length - 1;
  await using criu = await start({ ...worker, loader, preload }, theirs, given);
  try {
    await ready;
  } catch (error) {
    criu.kill();
    throw error;
  }
  const numbered = inherited.map(({ key }, index) => [FIRST_INHERITED_FD + index, key] as const);
  const workDir = mountsIn === undefined
    ? request.workDir
    : ours.use(openDirectory(`/proc/${criu.pid}/root${mountsIn}`)!);
  const asked = { ...request, ...(workDir && { workDir }), inherited: numbered };
  const running = library.run(what, asked, socket, onStage).catch((error) => {
    // A stage was refused. CRIU would wait for the dead, who wait for CRIU, if there are several.
    criu.kill();
    throw error;
  });
  meanwhile?.();
  const result = await running;
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
): Promise<AsyncDisposable & { readonly pid: number; kill(): void }> {
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
  const told = await readToEnd(read);
  const isBorn = told.length % 2 === 1; // into a cgroup, by the first one, which is done
  const number = isBorn ? Number(told[0]) : pid;
  if (isBorn) parts.defer(() => waitFor(number));
  throwIfFailed(told.subarray(isBorn ? 1 : 0), image);
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

async function waitFor(pid: number): Promise<void> {
  if (reap(pid, false)) return;
  using process = openPidFd(pid);
  await reactor.ready(process, EPOLLIN);
  reap(pid, true);
}

/** All that is told on the pipe until its other side has become CRIU, or has ended. */
async function readToEnd(read: Fd): Promise<BigUint64Array> {
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
function throwIfFailed([step, errno]: BigUint64Array, image: ReturnType<typeof assemble>): void {
  if (step === undefined) return;
  const index = stepAt(Number(step));
  throw new LaunchError(image.steps[index]!, index + 1, image.steps.length, Number(errno));
}
