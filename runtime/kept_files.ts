import { libc } from "../ffi/libc.ts";
import { publish } from "../ffi/publish.ts";
import { runDirectory } from "./state/run_directory.ts";
import { BUILD_ID } from "./build_id.ts";

/** How many files are kept of a kind; the oldest goes first. */
const MOST_FILES = 64;

/**
 * Where things are kept between commands: in memory (a tmpfs), until the machine is started again, and nobody else
 * may write or read there. `undefined` where there is no such place, and in a checkout, whose code changes.
 */
function directory(kind: string): string | undefined {
  if (BUILD_ID === "") return undefined;
  const base = runDirectory();
  return base?.startsWith("/") ? `${base}/ai-sandbox/${kind}` : undefined;
}

/** The name of the file in which that is kept which has this name. */
export function fileOf(name: string): string {
  // 32-bit FNV-1a of the name: two names with the same file only push each other out.
  let hash = 0x811c9dc5;
  for (let index = 0; index < name.length; index++) {
    hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  }
  return (hash >>> 0).toString(16);
}

/** What was last kept under this name, or under one that takes its place: the caller compares. */
export function readKept(kind: string, name: string): Uint8Array<ArrayBuffer> | undefined {
  return readKeptFile(kind, fileOf(name));
}

/** The same, of a file of this name. */
export function readKeptFile(kind: string, fileName: string): Uint8Array<ArrayBuffer> | undefined {
  const base = directory(kind);
  if (base === undefined) return undefined;
  try {
    const { uid, mode, isDirectory } = Deno.lstatSync(base);
    if (!isDirectory || uid !== libc.geteuid() || (mode! & 0o077) !== 0) return undefined;
    return Deno.readFileSync(`${base}/${fileName}`);
  } catch {
    return undefined; // nothing there
  }
}

/** Keeps bytes for the next command, made only if there is a place for them; that it cannot is no failure. */
export function keep(kind: string, name: string, make: () => Uint8Array<ArrayBuffer>): void {
  keepFile(kind, fileOf(name), make);
}

/** The same, in a file of this name. */
export function keepFile(kind: string, fileName: string, make: () => Uint8Array<ArrayBuffer>): void {
  const base = directory(kind);
  if (base === undefined) return;
  const file = `${base}/${fileName}`;
  try {
    Deno.mkdirSync(base, { recursive: true, mode: 0o700 });
    publish(base, file, make());
    prune(base);
  } catch {
    // There is none, then: only that is lost.
  }
}

function prune(base: string): void {
  const files = [...Deno.readDirSync(base)].map(({ name }) => `${base}/${name}`);
  if (files.length <= MOST_FILES) return;
  const aged = files.map((file) => ({ file, time: Deno.statSync(file).mtime?.getTime() ?? 0 }));
  aged.sort((a, b) => a.time - b.time);
  for (const { file } of aged.slice(0, files.length - MOST_FILES)) Deno.removeSync(file);
}
