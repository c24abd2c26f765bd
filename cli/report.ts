import { LaunchError } from "../mod.ts";
import type { Global } from "./main.ts";

/** Exit codes of the shell for a program that is not there, or may not be run; runc's commands end with 1 then. */
const [NOT_FOUND, NOT_EXECUTABLE, FAILED] = [127, 126, 1];
const [ENOENT, EACCES, EISDIR] = [2, 13, 21];

/** Says in one line what failed, `before` first, and returns the exit code that stands for it. */
export function report(error: unknown, { log, logFormat, debug = false }: Global, before = ""): number {
  const message = before + messageOf(error);
  const bytes = new TextEncoder().encode(`runtime: ${message}\n`);
  Deno.stderr.writeSync(bytes);
  if (debug && error instanceof Error) Deno.stderr.writeSync(new TextEncoder().encode(`${error.stack}\n`));
  if (log !== undefined) writeLog(log, logFormat, { level: "error", msg: message });
  return exitCode(error);
}

/** Says in one line what is not as it was asked for, although the command goes on. */
export function warn(warning: string, { log, logFormat }: Global): void {
  const message = visible(warning.replaceAll(/\s*\n\s*/g, " "));
  Deno.stderr.writeSync(new TextEncoder().encode(`runtime: ${message}\n`));
  if (log !== undefined) writeLog(log, logFormat, { level: "warning", msg: message });
}

/** Says for people who look for a defect how far a command is: in the log, without one on stderr. */
export function trace(message: string, { log, logFormat }: Global): void {
  const line = { level: "debug", msg: message } as const;
  if (log !== undefined) writeLog(log, logFormat, line);
  else Deno.stderr.writeSync(new TextEncoder().encode(lineOf("text", line)));
}

/** One line of the log. */
interface Line {
  readonly level: "debug" | "error" | "warning";
  readonly msg: string;
}

/** An error in a line that can be printed anywhere. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  // An error that nobody foresaw is a defect: its stack tells where.
  const known = error instanceof Error && error.constructor !== TypeError &&
    error.constructor !== ReferenceError &&
    error.constructor !== RangeError;
  const line = visible(text.replaceAll(/\s*\n\s*/g, " "));
  return known
    ? line
    : `${line} (a defect, please report it: ${String((error as Error)?.stack).replaceAll(/\s*\n\s*/g, " ")})`;
}

/** A hostile bundle must not steer the terminal of whoever reads what is wrong with it. */
function visible(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`);
}

/** The exit code that stands for an error. */
export function exitCode(error: unknown): number {
  if (!(error instanceof LaunchError)) return FAILED;
  const { op: { call, does }, errno } = error;
  if (["faccessat2", "execve"].includes(call)) {
    if (errno === ENOENT) return NOT_FOUND;
    if (errno === EACCES) return NOT_EXECUTABLE;
  }
  if (errno === EISDIR && does.startsWith("run ")) return NOT_EXECUTABLE;
  return FAILED;
}

/** Appends a line as runc does, for those who parse it. */
function writeLog(file: string, format: Global["logFormat"], line: Line): void {
  try {
    Deno.writeTextFileSync(file, lineOf(format, line), { append: true, create: true });
  } catch (cause) {
    Deno.stderr.writeSync(
      new TextEncoder().encode(`runtime: Cannot write the log "${file}": ${messageOf(cause)}\n`),
    );
  }
}

function lineOf(format: Global["logFormat"], { level, msg }: Line): string {
  const time = new Date().toISOString();
  return format === "json"
    ? `${JSON.stringify({ level, msg, time })}\n`
    : `time="${time}" level=${level} msg=${JSON.stringify(msg)}\n`;
}
