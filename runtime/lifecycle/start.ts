import { errnoName } from "../../ffi/errno_names.ts";
import { signalPidFd } from "../../ffi/process.ts";
import { LifecycleError } from "../errors.ts";
import type { Hooked } from "../image_of.ts";
import { EPOLLIN, reactor } from "../launch/reactor.ts";
import { hold } from "../state/liveness.ts";
import { checkMove } from "../state/moves.ts";
import { type ChoiceOptions, groupOf, type Known, lockContainer } from "./container.ts";
import { statusOf } from "./status.ts";

/** How long the first process may take to become the program, before nobody waits for that any more. */
export const EXECUTE_MS = 10_000;
const SIGKILL = 9;

/** Options of {@linkcode startContainer}. */
export interface StartOptions extends ChoiceOptions {
  /** The Unix socket of who waits for the program to say that it is ready: systemd's, or one like it. */
  readonly notifySocket?: string | undefined;
}

/**
 * Lets the program of a container begin, and returns when it has begun.
 *
 * @throws {LifecycleError} if the container is not one that waits to be started, or a hook fails.
 */
export async function startContainer(id: string, options: StartOptions = {}): Promise<void> {
  const { notifySocket: host } = options;
  if (host === undefined) return await letBegin(await lockContainer(id, options));
  const { listenToProgram, passReadiness } = await import("./notify.ts");
  const container = await lockContainer(id, options);
  const { hasNotify } = container.entry;
  const init = container.record.init;
  // Before the program can say anything.
  using socket = hasNotify ? listenToProgram(container.entry) : undefined;
  await letBegin(container);
  if (socket && init) await passReadiness(socket, init, host);
}

async function letBegin(locked: Known): Promise<void> {
  using container = locked;
  checkMove("start", statusOf(container, true), container.record.id);
  if (container.record.hooks?.length) await startWithHooks(container);
  else open(container);
}

function open({ entry }: Known): void {
  using gate = entry.openGate();
  if (!gate) throw new LifecycleError("cannot start a container that has stopped");
  if (gate.passed(EXECUTE_MS)) {
    const errno = gate.failure();
    if (errno === undefined) return;
    throw new LifecycleError(
      `Cannot start the container: its first process could not become the program: ${errnoName(errno)}`,
    );
  }
  throw notBegun();
}

/** What is said of a first process that nobody waits for any more. */
export function notBegun(): LifecycleError {
  return new LifecycleError(
    `Cannot start the container: its first process has not become the program in ${EXECUTE_MS} ms; see whether its ` +
      "cgroup is frozen",
  );
}

async function startWithHooks(container: Known): Promise<void> {
  const { entry, record } = container;
  const { awaitStartHooks, hookedOf } = await import("./hooks.ts");
  const hooked = (await hookedOf(container))!;
  try {
    if (record.hooks!.includes("startContainer")) {
      // Before the gate is open: init looks for who calls as soon as it is.
      using socket = entry.callInit();
      using gate = entry.openGate();
      if (!gate) throw new LifecycleError("cannot start a container that has stopped");
      await awaitStartHooks(socket, hooked.hooks);
    } else open(container);
    await runPoststart(container, hooked);
  } catch (error) {
    await end(container);
    throw error;
  }
}

/** How long a hook may go on when the program has ended, which a short one may have before the hook has begun. */
const LEFT_MS = 2000;

/** The hooks end soon after the container: who deletes it need not wait for them. */
async function runPoststart({ record }: Known, hooked: Hooked): Promise<void> {
  if (!hooked.hooks.poststart?.length) return;
  const { runPoststartHooks } = await import("../hooks.ts");
  using fd = hold(record.init!);
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  using stack = new DisposableStack();
  if (fd) {
    const watch = stack.use(reactor.watch(fd, EPOLLIN, () => {
      watch[Symbol.dispose]();
      stack.use(reactor.after(LEFT_MS, resolve));
    }));
  }
  await runPoststartHooks(hooked, record.init!.pid, fd && ended);
}

/** What a hook forbids does not go on. */
async function end(container: Known): Promise<void> {
  using fd = hold(container.record.init!);
  if (!fd) return;
  signalPidFd(fd, SIGKILL);
  if (container.record.groups.length > 0) groupOf(container).letDie();
  await reactor.ready(fd, EPOLLIN);
}
