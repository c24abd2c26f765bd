import { check } from "../ffi/errno.ts";
import { open } from "../ffi/fd.ts";
import { libc } from "../ffi/libc.ts";
import { lookAt } from "../ffi/tree.ts";
import { type FileSeal, MANIFEST, type Manifest } from "./manifest.ts";
import { unusable } from "./own_file.ts";

/** What is hashed by itself. */
export const PIECE_BYTES: number = 16 << 20;
/** Files of this size on take longer to hash than all others. */
const LARGE_BYTES = 1 << 20;
/** How files are opened: links are not followed, and no fifo keeps anybody waiting. */
export const HOW: number = 0o4000 | (Deno.build.arch === "x86_64" ? 0o400000 : 0o100000); // O_NONBLOCK, O_NOFOLLOW

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
 * @returns What resolves when the pages are compared too; until then nobody may use them.
 * @throws {LifecycleError} as {@linkcode checkSeals} does.
 */
export async function checkSmallSeals(
  directory: string,
  seals: Readonly<Record<string, FileSeal>>,
  pages?: Manifest["pages"],
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
  const compare = (name: string): Promise<void> => checkSeal(`${directory}/${name}`, seals[name]!);
  const isPages = (name: string): boolean => name.startsWith("pages-") && seals[name]!.bytes >= LARGE_BYTES;
  for (const name of names) if (!isPages(name)) await compare(name);
  const verified = (async () => {
    for (const name of names) if (isPages(name)) await compare(name);
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

/**
 * What this process has hashed, by path. Nobody can set the time of an inode's last change; within a tick of its clock a second
 * change would not show, so what has just been changed is hashed again.
 */
const known = new Map<string, { readonly inode: string; readonly seal: FileSeal }>();
const MOST_KNOWN = 4096;
/** So long after its last change it is certain that a file has not been changed again. */
export const SETTLED_MS = 2000;

/** The seal of a file; one that has not changed since this process has hashed it is not read again. */
async function sealUnlessKnown(path: string): Promise<FileSeal> {
  const before = stampOf(path);
  const one = known.get(path);
  if (one && one.inode === before) return one.seal;
  const is = await seal(path);
  if (before === undefined || stampOf(path) !== before) return is;
  if (known.size >= MOST_KNOWN) known.clear();
  known.set(path, { inode: before, seal: is });
  return is;
}

/** What changes with every change of a file; nothing if it was changed just now. */
export function stampOf(path: string): string | undefined {
  using file = open(path, HOW);
  const { device, inode, sizeBytes, modifiedNs, changedNs } = lookAt(file)!;
  const isSettled = Number(changedNs / 1_000_000n) < Date.now() - SETTLED_MS;
  return isSettled ? [device, inode, sizeBytes, modifiedNs, changedNs].join() : undefined;
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
