import { SyscallError } from "../../ffi/errno.ts";
import { pipe } from "../../ffi/fd.ts";
import { memoryFile } from "../../ffi/memfd.ts";
import { type Ending, kill, openPidFd, reap } from "../../ffi/process.ts";
import { startProgram } from "../../ffi/program.ts";
import { Drain } from "../launch/drain.ts";
import { type HookEnd, hookError, type HookKind } from "../launch/hook_error.ts";
import { EPOLLIN, reactor } from "../launch/reactor.ts";

const SIGKILL = 9;
const FIRST_FREE = 3;

/** A hook, as config.json has it. */
export interface Hook {
  readonly path: string;
  readonly args?: readonly string[];
  /** @default the environment of this process, as with runc */
  readonly env?: readonly string[];
  /** In seconds. */
  readonly timeout?: number;
}

/** What {@linkcode runHooks} needs beside the hooks. */
export interface HookOptions {
  /** The state of the container, which they read on stdin. */
  readonly state: { readonly bundle: string };
  /** Ends the hook that runs, and all, when it resolves. */
  readonly until?: Promise<unknown>;
}

/**
 * Runs hooks in the runtime's namespaces, one after another, in the directory of the bundle.
 *
 * @throws {HookError} for the first that fails; those behind it do not run.
 */
export async function runHooks(
  kind: HookKind,
  hooks: readonly Hook[] | undefined,
  options: HookOptions,
): Promise<void> {
  for (const [index, hook] of (hooks ?? []).entries()) await runHook(kind, index, hook, options);
}

/** Runs hooks of which none keeps the others from running; what is wrong with those that fail. */
export async function runAllHooks(
  kind: HookKind,
  hooks: readonly Hook[] | undefined,
  options: HookOptions,
): Promise<string[]> {
  const warnings: string[] = [];
  for (const [index, hook] of (hooks ?? []).entries()) {
    try {
      await runHook(kind, index, hook, options);
    } catch (error) {
      warnings.push(error instanceof Error ? error.message : String(error));
    }
  }
  return warnings;
}

async function runHook(kind: HookKind, index: number, hook: Hook, options: HookOptions): Promise<void> {
  const { path, args = [path], env = ownEnvironment(), timeout: seconds } = hook;
  const { state, until } = options;
  using stdin = memoryFile("state", new TextEncoder().encode(JSON.stringify(state)));
  using stack = new DisposableStack();
  const [out, err] = [pipe(), pipe()];
  for (const { write } of [out, err]) stack.use(write);
  using stdout = new Drain(out.read);
  using stderr = new Drain(err.read);
  const fail = (end: HookEnd): never => {
    throw hookError(kind, index, end, { stdout: stdout.text, stderr: stderr.text });
  };
  let pid: number;
  try {
    using theirs = new DisposableStack();
    const [first, second, third] = [stdin, out.write, err.write].map((fd) =>
      theirs.use(fd.duplicate(FIRST_FREE)).raw
    );
    pid = startProgram(path, { args, env, cwd: state.bundle, stdio: [first!, second!, third!] });
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    return fail({ kind: "missing", path, errno: error.errno });
  }
  stack.dispose();
  const { ending, isLate } = await ended(pid, seconds, until);
  if (isLate && seconds !== undefined) fail({ kind: "timeout", seconds });
  if (ending.signal !== undefined) fail({ kind: "signal", signal: ending.signal });
  if (ending.code !== 0) fail({ kind: "code", code: ending.code! });
}

/** The environment of a hook that names none. */
export function ownEnvironment(): string[] {
  return Object.entries(Deno.env.toObject()).map(([name, value]) => `${name}=${value}`);
}

/** Waits for the end of a hook, and brings it about when the time is up or nobody needs it any more. */
async function ended(
  pid: number,
  seconds: number | undefined,
  until: Promise<unknown> | undefined,
): Promise<{ ending: Ending; isLate: boolean }> {
  using pidFd = openPidFd(pid);
  let isLate = false;
  let isOver = false;
  const end = (late: boolean): void => {
    if (isOver) return;
    isLate ||= late;
    kill(-pid, SIGKILL); // what it has started too: the group is its own
  };
  void until?.then(() => end(false), () => end(false));
  using _timer = seconds === undefined ? undefined : reactor.after(seconds * 1000, () => end(true));
  await reactor.ready(pidFd, EPOLLIN);
  isOver = true;
  const ending = reap(pid, true);
  if (!ending) throw new Error(`Cannot wait for a hook: somebody else has taken the end of process ${pid}`);
  return { ending, isLate };
}
