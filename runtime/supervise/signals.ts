/** Linux signal numbers by name (signal(7); alike on x86-64 and aarch64). */
export const SIGNALS = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSTKFLT: 16,
  SIGCHLD: 17,
  SIGCONT: 18,
  SIGSTOP: 19,
  SIGTSTP: 20,
  SIGTTIN: 21,
  SIGTTOU: 22,
  SIGURG: 23,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
  SIGWINCH: 28,
  SIGIO: 29,
  SIGPWR: 30,
  SIGSYS: 31,
} as const;

/** The name of a signal. */
export type Signal = keyof typeof SIGNALS;

/** `SIGTERM` for 15; real-time signals are counted from `SIGRTMIN`. */
export function signalName(number: number): string {
  for (const name in SIGNALS) if (SIGNALS[name as Signal] === number) return name;
  return number >= 34 ? `SIGRTMIN+${number - 34}` : `signal ${number}`;
}

/**
 * The number of a signal given as `SIGTERM`, `term` or `15`.
 *
 * @throws {TypeError} if there is no such signal.
 */
export function signalNumber(signal: string | number): number {
  const word = String(signal).toUpperCase();
  const number = /^\d+$/.test(word)
    ? Number(word)
    : SIGNALS[(word.startsWith("SIG") ? word : `SIG${word}`) as Signal];
  if (number === undefined || number < 1 || number > 64) {
    throw new TypeError(`Cannot send signal "${signal}": there is none`);
  }
  return number;
}

/** What a person or a supervisor sends a command and means for the program that it runs. */
export const FORWARDED: readonly Deno.Signal[] = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGUSR1",
  "SIGUSR2",
  "SIGALRM",
];

/** Signals that end a process unless it has something else in mind for them. */
const ENDS = new Set([1, 2, 3, 14, 15, 10, 12]);

/** What becomes of a signal to the init of a pid namespace. */
export type Fate =
  /** It would have ended an ordinary process, but the kernel drops it. */
  | "lost"
  /** The program has a handler for it, or ignores it. */
  | "taken"
  /** It is blocked, and nobody has fetched it yet. */
  | "pending"
  /** It was fetched, or it was dropped by a program that blocks signals for a moment again: later looks tell. */
  | "open";

/** rt_sigtimedwait(2), as /proc/<pid>/syscall begins. What it waits for is not blocked meanwhile. */
const WAITS_FOR_SIGNAL = Deno.build.arch === "x86_64" ? "128 " : "137 ";

/**
 * Tells whether `signal` would end an ordinary process of this state but does nothing to the init of a pid namespace:
 * the kernel drops what pid 1 has no handler for (pid_namespaces(7)), so that Ctrl-C alone could not end a sandbox.
 *
 * @param status The text of /proc/<pid>/status.
 * @param syscall The text of /proc/<pid>/syscall.
 */
export function fateOnInit(signal: number, status: string, syscall: string): Fate {
  if (!ENDS.has(signal)) return "taken";
  const has = (field: string): boolean => {
    const mask = new RegExp(`^${field}:\\s*([0-9a-f]+)$`, "m").exec(status)?.[1] ?? "0";
    return ((BigInt(`0x${mask}`) >> BigInt(signal - 1)) & 1n) === 1n;
  };
  if (has("SigCgt") || has("SigIgn")) return "taken";
  if (has("SigBlk")) return has("SigPnd") || has("ShdPnd") ? "pending" : "open";
  return syscall.startsWith(WAITS_FOR_SIGNAL) ? "open" : "lost";
}

/** What comes of a signal to init `pid` as it is now, as {@linkcode fateOnInit} has it. */
export function fateOf(pid: number, signal: number): Fate {
  const read = (file: string): string => {
    try {
      return Deno.readTextFileSync(`/proc/${pid}/${file}`);
    } catch {
      return ""; // it is gone, or not for us to see
    }
  };
  const status = read("status");
  return status === "" ? "taken" : fateOnInit(signal, status, read("syscall"));
}
