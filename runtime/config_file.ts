import { whyClosed } from "./closed.ts";
import { SpecError } from "./errors.ts";

/** More than any real config.json; what is longer is not read. */
const MAX_CONFIG_BYTES = 4 << 20;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The text of a bundle's config.json: a regular file of bounded size, for a fifo or a device would keep us waiting.
 *
 * @throws {SpecError} that says what is there instead.
 */
export function readConfig(bundle: string): string {
  const file = `${bundle}/config.json`;
  try {
    const { isFile, size } = Deno.statSync(file);
    if (!isFile) throw refused(file, "it is not a regular file");
    if (size > MAX_CONFIG_BYTES) {
      throw refused(file, `it has ${size} bytes, at most ${MAX_CONFIG_BYTES} are read`);
    }
    return decoder.decode(Deno.readFileSync(file));
  } catch (cause) {
    if (cause instanceof TypeError) throw refused(file, "it is not UTF-8");
    if (cause instanceof Deno.errors.NotFound) {
      throw refused(file, "no such file: name a directory that holds a config.json");
    }
    if (cause instanceof Deno.errors.PermissionDenied) {
      throw refused(file, whyClosed(file, "it must be readable for this user"));
    }
    if (cause instanceof Deno.errors.NotADirectory) {
      throw refused(file, "a part of its path is not a directory");
    }
    if (cause instanceof SpecError) throw cause;
    throw refused(file, cause instanceof Error ? cause.message : String(cause));
  }
}

function refused(file: string, message: string): SpecError {
  return new SpecError(file, [{ pointer: "", message }]);
}
