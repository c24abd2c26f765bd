import { LifecycleError } from "../../runtime/errors.ts";
import type { Process, Spec } from "../../runtime/spec/config.ts";
import { exact, integer, list, need, type Place, type Shape } from "../../runtime/spec/shape.ts";
import type { Images } from "../open_images.ts";
import { readOwnFile, unusable } from "../own_file.ts";

/** How the program of a container was begun, beside the images. */
export const BEGUN = "process.json";
const VERSION = 1;
const [MOST_BYTES, MOST_NAMES, MOST_LENGTH] = [16 << 20, 100_000, 1 << 20];

/** What a program that is begun anew finds as it was. */
export interface Begun {
  /** Each as `NAME=value`; without it that of config.json counts. */
  readonly env?: readonly string[];
  /** Its working directory; without it that of config.json counts. */
  readonly cwd?: string;
}

const shape: Shape<Begun & { readonly version: number }> = exact<Begun & { readonly version: number }>({
  version: need(integer(VERSION, VERSION)),
  env: list((value: unknown, at: Place) => {
    const fits = typeof value === "string" && value.length <= MOST_LENGTH && isVariable(value);
    return fits ? value : at.mismatch(value, "NAME=value");
  }, MOST_NAMES),
  cwd: (value, at) => {
    const fits = typeof value === "string" && value.startsWith("/") && !value.includes("\0");
    return fits ? value : at.mismatch(value, "an absolute path");
  },
});

function isVariable(text: string): boolean {
  return text.indexOf("=") > 0 && !text.includes("\0");
}

/**
 * How the first process of a container was begun. Its working directory is the one of then: by that the words of its
 * command were meant.
 */
export function begunOf(pid: number, { process }: Spec): Begun {
  const env = environmentIn(Deno.readFileSync(`/proc/${pid}/environ`));
  return { ...(env && { env }), cwd: process?.cwd ?? "/" };
}

/** The variables that a program was begun with; nothing if it has written something else there (proc_pid_environ(5)). */
export function environmentIn(bytes: Uint8Array): string[] | undefined {
  let whole: string;
  try {
    whole = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
  if (whole !== "" && !whole.endsWith("\0")) return undefined;
  const env = whole.split("\0").slice(0, -1);
  return env.every(isVariable) ? env : undefined;
}

/** Writes it to a directory of images. */
export function writeBegun(directory: string, begun: Begun): void {
  Deno.writeTextFileSync(
    `${directory}/${BEGUN}`,
    `${JSON.stringify({ version: VERSION, ...begun }, null, 1)}\n`,
  );
}

/** How the program of images was begun; nothing is said by those of versions that did not write it down. */
export function readBegun({ path, manifest }: Pick<Images, "path" | "manifest">): Begun {
  const file = `${path}/${BEGUN}`;
  if (!manifest || !Object.hasOwn(manifest.seals, BEGUN)) return {};
  const begun = readOwnFile(file, MOST_BYTES, shape);
  if (!begun) throw unusable(file, "it is missing");
  return begun;
}

/** A spec whose program is begun so. */
export function asBegun(spec: Spec, { env, cwd }: Begun): Spec {
  const { process } = spec;
  if (!process) throw new LifecycleError("Cannot begin a program anew: config.json names none");
  const begun: Process = { ...process, ...(env && { env }), ...(cwd !== undefined && { cwd }) };
  return { ...spec, process: begun };
}
