import { type Cut, LaunchError, type Result, type WholeFileOptions, writeWholeFile } from "../mod.ts";
import { exitCode } from "./report.ts";

/** How long whoever is to read a result from a fifo may take. */
const READ_MS = 5000;

/** Writes the record of a run, and what was cut from an untrusted bundle, whole or not at all. */
export function writeResult(file: string, result: Result, cuts: readonly Cut[] = []): Promise<void> {
  return writeWhole("the result", file, json(cuts.length > 0 ? { ...result, cuts } : result));
}

/** Writes why a run did not come about, and what was cut from an untrusted bundle. */
export function writeError(
  file: string,
  id: string | undefined,
  error: unknown,
  cuts: readonly Cut[] = [],
): Promise<void> {
  const message = error instanceof Error ? error.message : String(error);
  const name = error instanceof Error ? error.name : "Error";
  const step = error instanceof LaunchError
    ? { step: error.step, steps: error.steps, errno: error.errno }
    : {};
  return writeWhole(
    "the result",
    file,
    json({
      id,
      exitCode: exitCode(error),
      error: { name, message, ...step },
      ...(cuts.length > 0 && { cuts }),
    }),
  );
}

/** Writes the pid of the program: whoever waits for the file never finds a part of it. */
export function writePid(file: string, pid: number): Promise<void> {
  return writeWhole("the pid", file, String(pid));
}

function json(value: unknown): string {
  return JSON.stringify(value, null, 2) + "\n";
}

/** Writes a file whole or not at all, with the options of `writeWholeFile`; a stream, such as `/dev/stdout`, is written to. */
export async function writeWhole(
  what: string,
  file: string,
  content: string | Uint8Array<ArrayBuffer>,
  options: WholeFileOptions = {},
): Promise<void> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  try {
    if (isStream(file)) await writeStream(file, bytes);
    else await writeWholeFile(file, bytes, options);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : cause;
    throw new Error(`Cannot write ${what && `${what} `}"${file}": ${why}`, { cause });
  }
}

/** Writes to a stream that somebody is to read soon. */
async function writeStream(file: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`nobody has read it for ${READ_MS / 1000} s`)), READ_MS);
  try {
    await Promise.race([Deno.writeFile(file, bytes, { append: true, create: false }), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A device, a fifo, or a name that the system has for what somebody has open; a link elsewhere leads to no stream. */
function isStream(file: string): boolean {
  try {
    const { isSymlink, isFifo, isCharDevice } = Deno.lstatSync(file);
    return isFifo || isCharDevice || isSymlink && /^\/(dev|proc)\//.test(file);
  } catch {
    return false;
  }
}
