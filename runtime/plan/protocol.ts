import { named } from "./op.ts";

/** The descriptors that a launcher finds beside stdin, stdout and stderr. */
export const STATUS_FD = named("status", 3);
export const GATE_FD = named("gate", 4);
/** The first descriptor that belongs to nobody in the launcher. */
export const FIRST_FREE_FD = 5;

/** What a message on the status socket says; anything from the image's address space on is a step that failed. */
export const MESSAGE = {
  cloned: 1,
  ready: 2,
  terminal: 3,
  listener: 4,
  tracked: 5,
  forbidden: 6,
  kept: 7,
} as const;
/** A message is two u64: what, and its value (a pid, a descriptor, an errno). */
export const MESSAGE_BYTES = 16;
