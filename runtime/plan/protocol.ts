import { named } from "./op.ts";

/** The descriptors that a launcher finds beside stdin, stdout and stderr. */
export const STATUS_FD = named("status", 3);
export const GATE_FD = named("gate", 4);
/** The first descriptor that belongs to nobody in the launcher. */
export const FIRST_FREE_FD = 5;
/** A socket at which whoever starts a detached sandbox calls, if there are hooks to hear of; a range of ids, if not. */
export const START_FD = named("starts", 5);

/** What a message on the status socket says; anything from the image's address space on is a step that failed. */
export const MESSAGE = {
  cloned: 1,
  ready: 2,
  terminal: 3,
  listener: 4,
  tracked: 5,
  forbidden: 6,
  kept: 7,
  hooks: 8,
  hookOutput: 9,
  started: 10,
  /** Longer than the others: its value is the length of a name, which follows, and behind that what is reported of it. */
  report: 11,
  /** With {@linkcode HOOK_END} added. */
  hookFailed: 16,
} as const;
/** How a hook inside failed, and what the value is: exit code, signal, nothing, errno. */
export const HOOK_END = { code: 0, signal: 1, timeout: 2, missing: 3 } as const;
/** The hooks that init runs: where they are in this list is half the value of their outputs' messages. */
export const INSIDE_HOOKS = ["createContainer", "startContainer"] as const;
/** A kind of hook that init runs. */
export type InsideHook = (typeof INSIDE_HOOKS)[number];
/** A message is two u64: what, and its value (a pid, a descriptor, an errno). */
export const MESSAGE_BYTES = 16;
/** What a message with a report may have at most. */
export const REPORT_BYTES = 4096;
