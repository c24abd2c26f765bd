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

/** An error in runc's words, by which engines tell a program that is missing from one that may not be run. */
export function inWords(error: unknown, { args, cwd }: Pick<Process, "args" | "cwd">): unknown {
  if (!(error instanceof LaunchError)) return error;
  return new LifecycleError(words(error, JSON.stringify(args[0]), cwd), { cause: error });
}

function words(error: LaunchError, program: string, cwd: string): string {
  const { op: { call, does }, errno } = error;
  const why = WORDS[errno] ?? errnoName(errno);
  const start = "unable to start container process:";
  if (call === "setns" && errno === ERRNO.ESRCH) return "cannot exec in a stopped container";
  const [, group] = /^start the program's process in cgroup "(.*)"$/.exec(does) ?? [];
  if (group !== undefined && errno === ERRNO.EBUSY) return `${start} ${notIn(group, why)}`;
  if (call === "faccessat2" && does.startsWith("find ")) {
    return `${start} exec: ${program}: executable file not found in $PATH`;
  }
  // The program is there: what its first line names is not.
  if (call === "execve") return `${start} exec ${JSON.parse(program)}: ${why}`;
  if (call === "openat" && does.startsWith("run ")) return `${start} exec: ${program}: ${why}`;
  if (call === "faccessat2") {
    return errno === ERRNO.ENOENT
      ? `${start} exec: ${program}: stat ${JSON.parse(program)}: ${why}`
      : `${start} exec: ${program}: ${why}`;
  }
  if (call === "chdir" && does.startsWith("change directory")) {
    return `${start} chdir to cwd (${JSON.stringify(cwd)}) set in config.json failed: ${why}`;
  }
  if (does.startsWith("keep the working directory")) {
    return `${start} current working directory is outside of container mount namespace root -- possible container breakout detected`;
  }
  return `${start} ${error.message}`;
}

/** What is said where a program cannot be put into a group of version 2. */
export function notIn(group: string, why: string): string {
  return `error adding pid 0 to cgroups: failed to write 0: openat2 ${group}/cgroup.procs: ${why}`;
}
