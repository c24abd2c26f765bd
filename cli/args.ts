import { parseArgs } from "@std/cli/parse-args";
import { readSize, UsageError } from "../mod.ts";

/** One flag of a command. */
export interface Flag {
  readonly name: string;
  /** One letter, as in `-b`. */
  readonly short?: string;
  /** What stands for the value in the help; a flag without it is a switch. */
  readonly value?: string;
  /** Whether it may be given several times. */
  readonly repeat?: boolean;
  readonly help: string;
}

/** A command as a person sees it. */
export interface CommandHelp {
  readonly name: string;
  /** What follows the name in the usage lines. */
  readonly usage: readonly string[];
  readonly summary: string;
  readonly flags: readonly Flag[];
  readonly examples: readonly string[];
}

/** What was given on the command line. */
export interface Arguments {
  /** Words that are no flags, up to `--`. */
  readonly words: readonly string[];
  /** What follows `--`; `undefined` without one. */
  readonly rest: readonly string[] | undefined;
  /** Whether a flag is there, with a value or without. */
  given(name: string): boolean;
  /** Whether a switch is on. */
  has(name: string): boolean;
  /** The last value of a flag. */
  value(name: string): string | undefined;
  /** All values of a flag. */
  values(name: string): readonly string[];
}

/** Options of {@linkcode readArguments}. */
export interface ReadOptions {
  /** Leaves everything behind the first word alone: it belongs to another program. */
  readonly stopEarly?: boolean;
}

/**
 * Reads the arguments of a command. Long flags may have one dash, as Go programs allow.
 *
 * @throws {UsageError} for a flag that the command does not have, or a value that is missing.
 */
export function readArguments(
  help: CommandHelp,
  argv: readonly string[],
  { stopEarly = false }: ReadOptions = {},
): Arguments {
  const flags = [...help.flags, HELP];
  const valued = flags.filter(({ value }) => value !== undefined).map(({ name }) => name);
  const parsed = parseArgs(normalized(flags, argv, stopEarly), {
    "--": true,
    stopEarly,
    string: [...valued, "_"],
    collect: valued,
    boolean: flags.filter(({ value }) => value === undefined).map(({ name }) => name),
    alias: Object.fromEntries(flags.flatMap(({ name, short }) => short ? [[name, [short]]] : [])),
    unknown: (arg: string) => {
      if (!arg.startsWith("-") || arg === "-") return true;
      throw new UsageError(
        `Cannot use "${arg}": ${help.name} has no such flag; see "runtime ${help.name} --help"`,
      );
    },
  }) as Record<string, unknown> & { _: string[]; "--": string[] };
  const values = (name: string): string[] => (Array.isArray(parsed[name]) ? parsed[name] : []) as string[];
  for (const name of valued) {
    if (values(name).includes("")) throw new UsageError(`Cannot use "--${name}": it needs a value`);
  }
  const ours = separator(help, argv, stopEarly);
  const theirs = !ours && argv.includes("--") ? ["--", ...parsed["--"]] : [];
  return {
    words: [...parsed._.map(String), ...theirs],
    rest: ours ? parsed["--"] : undefined,
    given: (name) => parsed[name] === true || values(name).length > 0,
    has: (name) => parsed[name] === true,
    value: (name) => values(name).at(-1),
    values,
  };
}

export const HELP: Flag = { name: "help", short: "h", help: "print this help" };

/** Whether a `--` of ours is there; behind the first word of a command line it is the other program's. */
function separator({ flags }: CommandHelp, argv: readonly string[], stopEarly: boolean): boolean {
  const end = argv.indexOf("--");
  if (end < 0) return false;
  return !stopEarly || firstWord(flags, argv) >= end;
}

/** Where the first word that is neither a flag nor a flag's value stands. */
function firstWord(flags: readonly Flag[], argv: readonly string[]): number {
  for (let index = 0; index < argv.length; index++) {
    const arg = argv[index]!;
    if (!arg.startsWith("-") || arg === "-" || arg === "--") return index;
    const flag = flags.find(({ name, short }) => arg.replace(/^--?/, "") === name || arg === `-${short}`);
    if (flag?.value !== undefined) index++;
  }
  return argv.length;
}

/** `-no-pivot` → `--no-pivot`: what is a long flag's name is one. */
function normalized(flags: readonly Flag[], argv: readonly string[], stopEarly: boolean): string[] {
  const names = new Set(flags.map(({ name }) => name));
  const end = argv.indexOf("--");
  const last = Math.min(end < 0 ? argv.length : end, stopEarly ? firstWord(flags, argv) : argv.length);
  return argv.map((arg, index) => {
    const [, name = ""] = /^-([a-z][a-z-]+)(=.*)?$/.exec(arg) ?? [];
    return index < last && names.has(name) ? `-${arg}` : arg;
  });
}

/** The commands that take runc's arguments. */
const LIKE_RUNC = new Set([
  ...[
    "checkpoint",
    "create",
    "delete",
    "events",
    "exec",
    "features",
    "kill",
    "list",
    "pause",
    "ps",
    "restore",
  ],
  ...["resume", "run", "spec", "start", "state", "update"],
]);

/** The help of a command as text. */
export function helpText({ name, usage, summary, flags, examples }: CommandHelp): string {
  const rows = [...flags, HELP].map(({ name, short, value, help }) => {
    return [`${short ? `-${short}, ` : "    "}--${name}${value ? ` ${value}` : ""}`, help] as const;
  });
  const width = Math.max(...rows.map(([flag]) => flag.length));
  // Whoever looks for runc's words finds them in their place.
  const also = LIKE_RUNC.has(name) ? `, as runc ${name}` : "";
  return [
    "NAME:",
    `   runtime ${name}${also}`,
    "",
    summary,
    "",
    "Usage:",
    ...usage.map((line) => `  runtime ${name} ${line}`),
    "",
    "Flags:",
    ...rows.map(([flag, help]) => `  ${flag.padEnd(width)}  ${help}`),
    ...(examples.length > 0 ? ["", "Examples:", ...examples.map((line) => `  ${line}`)] : []),
    "",
  ].join("\n");
}

/**
 * A duration such as `30s`, `1.5m`, `200ms` or `2h` in milliseconds; a bare number is seconds.
 *
 * @throws {UsageError} if it is none.
 */
export function durationMs(text: string, flag: string): number {
  const [, number, unit = "s"] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text) ?? [];
  const ms = Number(number) * ({ ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[unit] ?? NaN);
  if (!(ms > 0 && ms < 2 ** 31)) {
    throw new UsageError(`Cannot use "${text}" for --${flag}: write it as 500ms, 30s, 5m or 2h`);
  }
  return ms;
}

/** A size in bytes, as {@linkcode readSize} reads it. @throws {UsageError} if it is none. */
export function sizeBytes(text: string, flag: string): number {
  return readSize(text, `--${flag}`);
}

/**
 * A number of at least `least`, whole if `least` is.
 *
 * @throws {UsageError} if it is none.
 */
export function count(text: string, flag: string, least: number): number {
  const number = Number(text);
  if (
    /^\d+(\.\d+)?$/.test(text) && number >= least && number < 1e6 && (least < 1 || Number.isInteger(number))
  ) return number;
  throw new UsageError(`Cannot use "${text}" for --${flag}: write a number of at least ${least}`);
}

/**
 * What takes the place of namespaces where they are forbidden.
 *
 * @throws {UsageError} if there is no such thing.
 */
export function readFallback(text: string | undefined): "landlock" | undefined {
  if (text === undefined || text === "landlock") return text;
  throw new UsageError(`Cannot use "${text}" for --fallback: there is none but landlock`);
}
