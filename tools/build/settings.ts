/**
 * What the stub puts into the environment. The program, and what it starts, never see these: the program removes
 * them again before all else, and the stub hides all others of Deno's.
 *
 * DENO_DIR is no directory, so that nothing is read or written there; the shim would put a `node` before PATH.
 */
export const SETTINGS: readonly string[] = [
  "DENO_DIR=/dev/null",
  "DENO_DISABLE_NODE_SHIM=1",
  "DENO_LOG=deno::cache=off,error", // it would complain of that to a terminal
  "DENO_NO_PACKAGE_JSON=1",
  "DENO_NO_UPDATE_CHECK=1",
];

/** One more, behind them: how many files the caller may have open, in hexadecimal; Deno raises its own soft limit. */
export const OPEN_FILES = "AI_SANDBOX_NOFILE";
