import { errnoName } from "../../ffi/errno_names.ts";
import { LifecycleError } from "../errors.ts";

/** The kinds of hooks, as config.json names them. */
export type HookKind =
  | "prestart"
  | "createRuntime"
  | "createContainer"
  | "startContainer"
  | "poststart"
  | "poststop";

/** How a hook failed. */
export type HookEnd =
  | { readonly kind: "code"; readonly code: number }
  | { readonly kind: "signal"; readonly signal: number }
  /** After so many seconds. */
  | { readonly kind: "timeout"; readonly seconds: number }
  /** It could not be started. */
  | { readonly kind: "missing"; readonly path: string; readonly errno: number };

const ERRNO_WORDS: Readonly<Record<number, string>> = {
  2: "no such file or directory",
  8: "exec format error",
  13: "permission denied",
  20: "not a directory",
  26: "text file busy",
};

/** Go's words for what ends programs. */
const SIGNAL_WORDS: Readonly<Record<number, string>> = {
  1: "hangup",
  2: "interrupt",
  3: "quit",
  4: "illegal instruction",
  6: "aborted",
  7: "bus error",
  8: "floating point exception",
  9: "killed",
  11: "segmentation fault",
  13: "broken pipe",
  14: "alarm clock",
  15: "terminated",
  31: "bad system call",
};

/** A hook failed: in words that engines know from runc. */
export class HookError extends LifecycleError {
  /**
   * One message out of the three.
   *
   * @param kind When it runs, as config.json names that.
   * @param index Which of its kind, from 0.
   * @param how How it failed.
   */
  constructor(readonly kind: string, readonly index: number, how: string) {
    super(`error running ${kind} hook #${index}: ${how}`);
  }
}

/** The error of a hook that ended so and printed this last. */
export function hookError(
  kind: HookKind,
  index: number,
  end: HookEnd,
  said: { readonly stdout: string; readonly stderr: string },
): HookError {
  return new HookError(kind, index, wordsOf(end, said));
}

function wordsOf(end: HookEnd, { stdout, stderr }: { stdout: string; stderr: string }): string {
  const output = `stdout: ${stdout}, stderr: ${stderr}`;
  switch (end.kind) {
    case "code":
      return `exit status ${end.code}, ${output}`;
    case "signal":
      return `signal: ${SIGNAL_WORDS[end.signal] ?? end.signal}, ${output}`;
    case "timeout":
      return `hook ran past specified timeout of ${end.seconds.toFixed(1)}s`;
    case "missing":
      return `fork/exec ${end.path}: ${ERRNO_WORDS[end.errno] ?? errnoName(end.errno)}`;
    default:
      return end satisfies never;
  }
}
