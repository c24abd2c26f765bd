import type { CriuJob, CriuRequest, CriuStage } from "../ffi/criu.ts";
import { isRefusal } from "../ffi/criu.ts";
import { openDirectory } from "../ffi/directory.ts";
import { type Fd, open, pipe, socketPair } from "../ffi/fd.ts";
import { assemble } from "../runtime/launch/image.ts";
import type { Arch } from "../runtime/plan/abi.ts";
import { becomesCriu, type CriuProcess, spawnImage } from "./criu_process.ts";
import type { InstalledCriu } from "./installed.ts";
import type { WaitingCriu } from "./waiting.ts";
import { withoutTls } from "./without_tls.ts";
import { FIRST_INHERITED_FD, workerPlan, type WorkerRequest } from "./worker_plan.ts";

const O_RDWR = 2;

/** What CRIU is started for. */
export interface Job {
  readonly what: CriuJob;
  /** Is called when CRIU has been started, which takes a while to be ready for it. */
  readonly request: () => CriuRequest;
  readonly onStage?: (stage: CriuStage) => void;
  /** Descriptors for the container, by what they take the place of; they stay the caller's. */
  readonly inherited?: readonly { readonly fd: number; readonly key: string }[];
  /** What only the worker takes, in the order of its descriptors after those. */
  readonly more?: readonly Fd[];
  /** Path of the work directory if CRIU mounts in it, which takes the directory of its own mount namespace. */
  readonly mountsIn?: string | undefined;
  /** Is called when CRIU has been told of the job, and works. It must not throw: CRIU would not hear of that. */
  readonly meanwhile?: () => void;
  /** A CRIU that was loaded before, if there is one. */
  readonly waiting?: WaitingCriu | undefined;
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
  installed: InstalledCriu,
  worker: WorkerRequest,
  { what, request, onStage, meanwhile, inherited = [], more = [], mountsIn, ready, waiting }: Job,
): Promise<Answer> {
  using ours = new DisposableStack();
  const given = [...inherited.map(({ fd }) => fd), ...more.map(({ raw }) => raw)];
  const { socket, starting } = waiting?.suits(worker)
    ? { socket: waiting.socket, starting: waiting.enter(worker, given) }
    : startUnloaded(installed, worker, given, ours);
  await using parts = new AsyncDisposableStack();
  const started = starting.then((criu) => parts.use(criu));
  started.catch(() => {}); // it is awaited below, as is what runs
  let running: Promise<number> | undefined;
  try {
    const asked = request();
    await ready;
    const workDir = mountsIn === undefined
      ? asked.workDir
      : ours.use(openDirectory(`/proc/${(await started).pid}/root${mountsIn}`)!);
    const numbered = inherited.map(({ key }, index) => [FIRST_INHERITED_FD + index, key] as const);
    const whole = { ...asked, ...(workDir && { workDir }), inherited: numbered };
    running = installed.library.run(what, whole, socket, onStage); // CRIU finds it when it has begun
    running.catch(() => {});
    meanwhile?.();
    const criu = await started;
    const result = await running;
    if (result >= 0) return { result };
    if (!isRefusal(result)) criu.kill(); // it does not talk any more
    return { refused: result };
  } catch (error) {
    // If a stage was refused, CRIU would wait for the dead, who wait for CRIU, if there are several.
    (await started.catch(() => undefined))?.kill();
    await running?.catch(() => {});
    throw error;
  }
}

/** Has CRIU find out what the kernel can do, which it writes into `run`, and waits for its end. */
export async function checkKernel({ program }: InstalledCriu, arch: Arch, run: Fd): Promise<void> {
  using nothing = open("/dev/null", O_RDWR);
  await using _criu = await start({ arch, program, flags: [], checks: true }, [nothing.raw, run.raw]);
}

/** Starts CRIU for a job; our side of the conversation goes with `ours`. */
function startUnloaded(
  { loader, version }: InstalledCriu,
  worker: WorkerRequest,
  given: readonly number[],
  ours: DisposableStack,
): { readonly socket: Fd; readonly starting: Promise<CriuProcess> } {
  const [socket, theirs] = socketPair();
  ours.use(socket);
  using _theirs = theirs;
  using first = loader && withoutTls(worker.arch, version);
  const more = first ? [first.raw] : [];
  const preload = first && FIRST_INHERITED_FD + given.length;
  return { socket, starting: start({ ...worker, loader, preload }, [theirs.raw, ...given, ...more]) };
}

/** Starts the process that becomes CRIU; the first descriptor is its side of the conversation. */
function start(worker: WorkerRequest, [service, ...more]: readonly number[]): Promise<CriuProcess> {
  const image = assemble(workerPlan(worker));
  const failure = pipe();
  let pid: number;
  {
    using written = failure.write;
    pid = spawnImage(image, [service!, written.raw, ...more]);
  }
  return becomesCriu(pid, failure.read, image).finally(() => failure.read[Symbol.dispose]());
}
