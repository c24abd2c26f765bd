import { check } from "../ffi/errno.ts";
import { open } from "../ffi/fd.ts";
import { libc } from "../ffi/libc.ts";
import { HOW, stampOf } from "./file_stamp.ts";
import type { KeptSeals } from "./kept_seals.ts";
import { type FileSeal, MANIFEST, type Manifest } from "./manifest.ts";
import { unusable } from "./own_file.ts";

/** What is hashed by itself. */
export const PIECE_BYTES: number = 16 << 20;
/** Files of this size on take longer to hash than all others. */
const LARGE_BYTES = 1 << 20;

/** CRIU's images of a directory, sorted: not its logs and figures. */
export function imageNames(directory: string): string[] {
  const names = Array.from(Deno.readDirSync(directory)).filter(({ isFile }) => isFile);
  return names.map(({ name }) => name).filter((name) => isSealed(name)).sort();
}

function isSealed(name: string): boolean {
  return name !== MANIFEST && !name.endsWith(".log") && !name.startsWith("stats-");
}

/**
 * Compares a directory of images with their seals.
 *
 * @throws {LifecycleError} naming the first file that is missing, altered, or not one of them.
 */
export async function checkSeals(
  directory: string,
  seals: Readonly<Record<string, FileSeal>>,
): Promise<void> {
  await (await checkSmallSeals(directory, seals)).verified;
}

/**
 * Compares all but the pages of memory, which are most of it.
 *
 * @param how Where the pages are, and what earlier commands know of the files; without that all of them are read.
 * @returns What resolves when the pages are compared too; until then nobody may use them.
 * @throws {LifecycleError} as {@linkcode checkSeals} does.
 */
export async function checkSmallSeals(
  directory: string,
  seals: Readonly<Record<string, FileSeal>>,
  { pages, kept }: { readonly pages?: Manifest["pages"]; readonly kept?: KeptSeals | undefined } = {},
): Promise<{ readonly verified: Promise<void> }> {
  const found = Array.from(Deno.readDirSync(directory)).filter(({ name }) => isSealed(name));
  for (const { name, isFile } of found) {
    if (name in seals && !isFile) throw unusable(`${directory}/${name}`, "it is no ordinary file");
    // What the images do not know of CRIU would read all the same.
    const isElsewhere = pages === "elsewhere" && /^page(s|map)-/.test(name);
    if (!(name in seals) && name.endsWith(".img") && !isElsewhere) {
      throw unusable(`${directory}/${name}`, "it is foreign");
    }
  }
  const names = Object.keys(seals);
  for (const name of names) {
    if (!found.some((each) => each.name === name)) throw unusable(`${directory}/${name}`, "it is missing");
  }
  const compare = (name: string): Promise<void> => {
    const hash = (): Promise<void> => checkSeal(`${directory}/${name}`, seals[name]!);
    return kept ? kept.learn(name, seals[name]!, hash) : hash();
  };
  const unknown = names.filter((name) => !kept?.has(name, seals[name]!));
  const isPages = (name: string): boolean => name.startsWith("pages-") && seals[name]!.bytes >= LARGE_BYTES;
  for (const name of unknown) if (!isPages(name)) await compare(name);
  const verified = (async () => {
    for (const name of unknown) if (isPages(name)) await compare(name);
    kept?.write();
  })();
  verified.catch(() => {}); // whoever awaits it hears of it
  return { verified };
}

/** Compares one file with its seal. @throws {LifecycleError} if it is another. */
export async function checkSeal(path: string, { bytes, sha256 }: FileSeal): Promise<void> {
  const is = await sealUnlessKnown(path);
  if (is.bytes !== bytes) {
    throw unusable(path, `it has ${is.bytes} bytes instead of ${bytes}, it was cut off or altered`);
  }
  if (is.sha256 !== sha256) throw unusable(path, "it was altered");
}

/** What this process has hashed, by path. */
const known = new Map<string, { readonly stamp: string; readonly seal: FileSeal }>();
const MOST_KNOWN = 4096;

/** The seal of a file; one that has not changed since this process has hashed it is not read again. */
async function sealUnlessKnown(path: string): Promise<FileSeal> {
  const before = stampOf(path);
  const one = known.get(path);
  if (one && one.stamp === before) return one.seal;
  const is = await seal(path);
  if (before === undefined || stampOf(path) !== before) return is;
  if (known.size >= MOST_KNOWN) known.clear();
  known.set(path, { stamp: before, seal: is });
  return is;
}

/** Size and hash of a file. */
export async function seal(path: string): Promise<FileSeal> {
  using file = open(path, HOW);
  const digests: ArrayBuffer[] = [];
  let bytes = 0;
  for (;;) {
    // Memory that is new costs more than the hash; a byte more than is there tells the end.
    const { size } = Deno.statSync(`/proc/self/fd/${file.raw}`);
    const piece = new Uint8Array(Math.max(1, Math.min(PIECE_BYTES, size - bytes + 1)));
    let length = 0;
    for (let count = 1; count > 0 && length < piece.length; length += count) {
      const rest = piece.subarray(length);
      count = check(libc.read(file.raw, rest, BigInt(rest.length)), "read", path);
    }
    if (length > 0) digests.push(await crypto.subtle.digest("SHA-256", piece.subarray(0, length)));
    bytes += length;
    if (length < piece.length) break;
  }
  const all = new Uint8Array(digests.flatMap((each) => [...new Uint8Array(each)]));
  const sha256 = new Uint8Array(await crypto.subtle.digest("SHA-256", all)).toHex();
  return { bytes, sha256 };
}
