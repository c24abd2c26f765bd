import type { Result } from "../mod.ts";

/** In a line what ended a run that the program did not end itself, for it cannot say so any more. */
export function whyEnded({ exit, forbiddenCall, events }: Result): string | undefined {
  if (forbiddenCall) {
    return `the sandbox was killed: it called ${forbiddenCall.syscall}, which its policy forbids`;
  }
  if (exit.kind === "limit") return `the sandbox was killed: ${LIMITS[exit.limit]}`;
  const killed = events?.oomKills ?? 0;
  if (killed === 0) return undefined;
  const which = killed === 1 ? "one of its processes" : `${killed} of its processes`;
  return `the kernel killed ${which} for want of memory: allow more with --memory`;
}

const LIMITS = {
  memory: "its memory was used up; allow more with --memory",
  time: "its time was up; allow more with --timeout",
  cpu: "its CPU time was used up (RLIMIT_CPU)",
  fileSize: "it wrote a larger file than it may (RLIMIT_FSIZE)",
} as const;
