import { SyscallError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { emptyMemoryFile, memoryFile } from "../../ffi/memfd.ts";
import { pollOne } from "../../ffi/poll.ts";
import { kill, openPidFd, reap } from "../../ffi/process.ts";
import { startProgram } from "../../ffi/program.ts";
import { type HookEnd, hookError, type HookKind } from "../launch/hook_error.ts";
import { type Hook, type HookOptions, ownEnvironment } from "./hooks.ts";

const SIGKILL = 9;
const FIRST_FREE = 3;
const POLLIN = 1;
/** How much of the end of an output is kept. */
const MOST_BYTES = 4096;

/**
 * Runs hooks as `runHooks()` does, but everything in this process waits for them: where C calls, nothing else can be done.
 *
 * @throws {HookError} for the first that fails; those behind it do not run.
 */
export function runHooksNow(
  kind: HookKind,
  hooks: readonly Hook[] | undefined,
  { state }: Pick<HookOptions, "state">,
): void {
  for (const [index, hook] of (hooks ?? []).entries()) runHookNow(kind, index, hook, state);
}

function runHookNow(kind: HookKind, index: number, hook: Hook, state: HookOptions["state"]): void {
  const { path, args = [path], env = ownEnvironment(), timeout: seconds } = hook;
  using stdin = memoryFile("state", new TextEncoder().encode(JSON.stringify(state)));
  // Not pipes, which nobody could empty here.
  using stdout = emptyMemoryFile("output");
  using stderr = emptyMemoryFile("output");
  const fail = (end: HookEnd): never => {
    throw hookError(kind, index, end, { stdout: endOf(stdout), stderr: endOf(stderr) });
  };
  let pid: number;
  try {
    using theirs = new DisposableStack();
    const [first, second, third] = [stdin, stdout, stderr].map((fd) =>
      theirs.use(fd.duplicate(FIRST_FREE)).raw
    );
    pid = startProgram(path, { args, env, cwd: state.bundle, stdio: [first!, second!, third!] });
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    return fail({ kind: "missing", path, errno: error.errno });
  }
  const isLate = seconds !== undefined && !endsIn(pid, seconds * 1000);
  if (isLate) kill(-pid, SIGKILL); // what it has started too: the group is its own
  const ending = reap(pid, true);
  if (!ending) throw new Error(`Cannot wait for a hook: somebody else has taken the end of process ${pid}`);
  if (isLate) fail({ kind: "timeout", seconds });
  if (ending.signal !== undefined) fail({ kind: "signal", signal: ending.signal });
  if (ending.code !== 0) fail({ kind: "code", code: ending.code! });
}

function endsIn(pid: number, timeoutMs: number): boolean {
  using process = openPidFd(pid);
  const poll = new Int32Array([process.raw, POLLIN]); // struct pollfd
  return pollOne(poll, timeoutMs, "wait for a hook");
}

function endOf(file: Fd): string {
  const text = Deno.readTextFileSync(`/proc/self/fd/${file.raw}`);
  return text.length > MOST_BYTES ? `…${text.slice(-MOST_BYTES)}` : text;
}
