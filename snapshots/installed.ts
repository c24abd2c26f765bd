import { LibCriu } from "../ffi/criu.ts";
import { UnsupportedError } from "../runtime/errors.ts";

/** CRIU as it is installed here: the program that does the work, and the library that talks to it. */
export interface InstalledCriu {
  readonly program: string;
  /** What that, a script, runs: file and arguments. To run it at once saves a shell. */
  readonly loader?: readonly string[] | undefined;
  readonly library: LibCriu;
  /** As it was unpacked; empty for one that came otherwise. */
  readonly version: string;
}

const SYSTEM_LIBRARY = "libcriu.so.2";
const SYSTEM_PROGRAMS = ["/usr/sbin/criu", "/usr/local/sbin/criu"];
const LOADER = Deno.build.arch === "x86_64" ? "ld-linux-x86-64.so.2" : "ld-linux-aarch64.so.1";
/** Those that were found: what one has bound it keeps. */
const libraries = new Map<string, LibCriu>();
const REMEDY = "run ./setup, which unpacks one, or name one by --criu";

/**
 * Finds CRIU: what the caller names, else what `./setup` has unpacked, else the system's.
 *
 * @param program Path of the program, if the caller names one.
 * @throws {UnsupportedError} if there is none, or its library cannot be loaded.
 */
export function findCriu(program?: string): InstalledCriu {
  const unpacked = bases().map(readUnpacked).find((each) => each !== undefined);
  const library = unpacked?.library ?? libraryAt(SYSTEM_LIBRARY);
  const found = program ?? unpacked?.program ?? SYSTEM_PROGRAMS.find(isThere);
  if (found === undefined) throw new UnsupportedError("a checkpoint", "there is no CRIU here", REMEDY);
  if (program !== undefined && !isThere(program)) {
    throw new UnsupportedError("a checkpoint", `there is no CRIU at "${program}"`, REMEDY);
  }
  if (!library.isInstalled) {
    throw new UnsupportedError("a checkpoint", `the library "${library.file}" cannot be loaded`, REMEDY);
  }
  const version = program === undefined ? unpacked?.version ?? "" : "";
  return { program: found, library, version, ...(program === undefined && { loader: unpacked?.loader }) };
}

/** Where `./setup` unpacks CRIU: for root, for others. */
function bases(): string[] {
  const home = Deno.env.get("XDG_DATA_HOME") ?? `${Deno.env.get("HOME") ?? ""}/.local/share`;
  return ["/opt/ai-sandbox/criu", `${home}/ai-sandbox/criu`];
}

/** A root must not run what another user could have put there. */
function readUnpacked(base: string): InstalledCriu | undefined {
  try {
    const file = `${base}/criu.json`;
    const { uid } = Deno.statSync(file);
    if (uid !== 0 && uid !== Deno.uid()) return undefined;
    const { criu, libcriu, libraryPath, version } = JSON.parse(Deno.readTextFileSync(file));
    return {
      program: criu,
      loader: loaderOf(base, libraryPath),
      library: libraryAt(libcriu, [`${libraryPath}/libprotobuf-c.so.1`]),
      version: String(version),
    };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    throw error;
  }
}

/** What the script of `./setup` runs: the C library's loader beside CRIU, with CRIU. */
function loaderOf(base: string, libraryPath: string): readonly string[] | undefined {
  const [loader, program] = [`${libraryPath}/${LOADER}`, `${base}/libexec/criu`];
  if (!isThere(loader) || !isThere(program)) return undefined;
  return [loader, "--library-path", libraryPath, "--argv0", "criu", program];
}

function libraryAt(file: string, needs: readonly string[] = []): LibCriu {
  return libraries.getOrInsertComputed(file, () => new LibCriu(file, needs));
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
