import { errnoName } from "../../ffi/errno_names.ts";
import { LifecycleError } from "../errors.ts";
import { LaunchError } from "../launch/launch_error.ts";
import { ERRNO } from "../plan/abi.ts";
import type { Process } from "../spec/config.ts";

/** Go's words for errors that programs of others look for. */
const WORDS: Readonly<Record<number, string>> = {
  [ERRNO.ENOENT]: "no such file or directory",
  [ERRNO.EACCES]: "permission denied",
  [ERRNO.EISDIR]: "is a directory",
  [ERRNO.EPERM]: "operation not permitted",
  [ERRNO.ENOTDIR]: "not a directory",
  [ERRNO.ENOEXEC]: "exec format error",
  [ERRNO.ELOOP]: "too many levels of symbolic links",
  [ERRNO.ENAMETOOLONG]: "file name too long",
  [ERRNO.EBUSY]: "device or resource busy",
};

const START = "unable to start container process:";

/** Why a program was not begun beside another one, in runc's words. */
export function inWords(error: unknown, process: Pick<Process, "args" | "cwd">): unknown {
  if (!(error instanceof LaunchError)) return error;
  const { op: { call, does }, errno, message } = error;
  const [, group] = /^start the program's process in cgroup "(.*)"$/.exec(does) ?? [];
  let words = programInWords(error, process) ?? `${START} ${message}`;
  if (call === "setns" && errno === ERRNO.ESRCH) words = "cannot exec in a stopped container";
  if (group !== undefined && errno === ERRNO.EBUSY) words = `${START} ${notIn(group, wordsOf(errno))}`;
  return new LifecycleError(words, { cause: error });
}

/** A program that cannot be run, in runc's words, by which engines tell one that is missing from one that is none. */
export function asProgramError(error: unknown, process: Pick<Process, "args" | "cwd">): unknown {
  const words = error instanceof LaunchError ? programInWords(error, process) : undefined;
  return words === undefined ? error : new LifecycleError(words, { cause: error });
}

function programInWords(
  { op: { call, does }, errno }: LaunchError,
  { args, cwd }: Pick<Process, "args" | "cwd">,
): string | undefined {
  const [program, why] = [JSON.stringify(args[0]), wordsOf(errno)];
  if (call === "faccessat2" && / in PATH \(/.test(does)) {
    return `${START} exec: ${program}: executable file not found in $PATH`;
  }
  // The program is there: what its first line names is not.
  if (call === "execve") return `${START} exec ${args[0]}: ${why}`;
  if (does.startsWith("run ")) {
    const where = call === "faccessat2" && errno === ERRNO.ENOENT ? `stat ${args[0]}: ` : "";
    return `${START} exec: ${program}: ${where}${why}`;
  }
  if (call === "chdir" && does.startsWith("change directory")) {
    return `${START} chdir to cwd (${JSON.stringify(cwd)}) set in config.json failed: ${why}`;
  }
  if (does.startsWith("keep the working directory")) {
    return `${START} current working directory is outside of container mount namespace root -- possible container breakout detected`;
  }
  return undefined;
}

function wordsOf(errno: number): string {
  return WORDS[errno] ?? errnoName(errno);
}

/** What is said where a program cannot be put into a group of version 2. */
export function notIn(group: string, why: string): string {
  return `error adding pid 0 to cgroups: failed to write 0: openat2 ${group}/cgroup.procs: ${why}`;
}
