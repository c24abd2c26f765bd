import { LaunchError, type Result } from "../mod.ts";
import { exitCode } from "./report.ts";

/** Writes the record of a run, whole or not at all. */
export function writeResult(file: string, result: Result): Promise<void> {
  return write(file, result);
}

/** Writes why a run did not come about. */
export function writeError(file: string, id: string | undefined, error: unknown): Promise<void> {
  const message = error instanceof Error ? error.message : String(error);
  const name = error instanceof Error ? error.name : "Error";
  const step = error instanceof LaunchError
    ? { step: error.step, steps: error.steps, errno: error.errno }
    : {};
  return write(file, { id, exitCode: exitCode(error), error: { name, message, ...step } });
}

async function write(file: string, value: unknown): Promise<void> {
  const temporary = `${file}.${crypto.randomUUID().slice(0, 8)}`;
  try {
    using opened = await Deno.open(temporary, { write: true, createNew: true });
    await opened.write(new TextEncoder().encode(JSON.stringify(value, null, 2) + "\n"));
    await opened.syncData();
    await Deno.rename(temporary, file);
  } catch (cause) {
    await Deno.remove(temporary).catch(() => {});
    throw new Error(`Cannot write the result "${file}": ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
}
