import { UnsupportedError } from "../runtime/errors.ts";
import type { StringMap } from "../runtime/spec/config.ts";
import type { CriuSwitch } from "../ffi/criu.ts";

/** The annotation that names a file with options of CRIU, as with runc. */
const ANNOTATION = "org.criu.config";
const MOST_BYTES = 1 << 16;
/** Option of CRIU → the switch that it turns on. */
const SWITCHES: Readonly<Record<string, CriuSwitch>> = {
  "tcp-established": "tcp_established",
  "tcp-close": "tcp_close",
  "skip-in-flight": "tcp_skip_in_flight",
  "ext-unix-sk": "ext_unix_sk",
  "shell-job": "shell_job",
  "file-locks": "file_locks",
  "link-remap": "link_remap",
  "auto-dedup": "auto_dedup",
};

/** What a container's own file of options asks of CRIU. */
export interface CriuConfig {
  readonly switches: readonly CriuSwitch[];
  /** Name of its log. */
  readonly logFile?: string;
}

/**
 * Reads the file that the annotation `org.criu.config` names. CRIU does not: it would run programs that such a file names,
 * with all rights, and annotations come from whoever may ask an engine for a container.
 *
 * @throws {UnsupportedError} for what is no switch, nor the name of the log.
 */
export function criuConfig(annotations: StringMap<string> | undefined): CriuConfig {
  const path = annotations?.[ANNOTATION];
  if (path === undefined) return { switches: [] };
  const switches: CriuSwitch[] = [];
  let logFile: string | undefined;
  for (const line of read(path).split("\n")) {
    const [, key = "", value = ""] = /^\s*([^\s=#]*)\s*=?\s*([^#]*?)\s*(?:#.*)?$/.exec(line) ?? [];
    if (key === "") continue;
    if (key === "log-file" && /^[\w+-][\w.+-]*$/.test(value)) logFile = value;
    else if (Object.hasOwn(SWITCHES, key) && value === "") switches.push(SWITCHES[key]!);
    else {throw refused(
        path,
        `it sets ${JSON.stringify(key)}, which is neither a switch nor the name of the log`,
      );}
  }
  return { switches, ...(logFile !== undefined && { logFile }) };
}

function read(path: string): string {
  try {
    const { isFile, size } = Deno.lstatSync(path);
    if (isFile && size <= MOST_BYTES) return Deno.readTextFileSync(path);
  } catch (error) {
    throw refused(path, error instanceof Error ? error.message : String(error));
  }
  throw refused(path, "it is no ordinary file");
}

function refused(path: string, why: string): UnsupportedError {
  return new UnsupportedError(`${ANNOTATION} ${JSON.stringify(path)}`, why, "take it out of the file");
}
