import { check } from "../../ffi/errno.ts";
import { type Fd, open } from "../../ffi/fd.ts";
import { libc } from "../../ffi/libc.ts";
import { copyPart, readAt } from "../../ffi/tree.ts";
import { DELTA, encodeDelta, isPages, ownPages, type PackedRun, PAGE_BYTES, readDelta } from "./delta.ts";
import { common, type PageMap, pageMaps } from "./pages.ts";
import type { Locked, Snapshot } from "./store.ts";
import { wholeSnapshot } from "./whole.ts";

const [O_WRONLY, O_CREAT, O_EXCL] = [1, 0o100, 0o200];
const PIECE_PAGES = 256;
/** So many snapshots may build upon each other: each is a file more for each restore. */
const MOST_DEPTH = 8;

/** Pages of a file that the base has too. */
interface Same {
  readonly at: number;
  readonly pages: number;
  readonly file: string;
  readonly offset: number;
}

/**
 * Keeps of a snapshot's memory only the pages that another has not at the same address. The kernel need not tell which
 * have changed: they are compared. The snapshot is whole at each moment, however this ends.
 *
 * @returns How many bytes of pages are kept now; nothing if it was left as it is.
 */
export async function packSnapshot(
  snapshot: Snapshot,
  base: Snapshot,
  locked: Locked,
): Promise<number | undefined> {
  if (depthOf(base, locked) >= MOST_DEPTH) return undefined;
  const { path } = snapshot;
  using whole = await wholeSnapshot(base, locked);
  const then = pageMaps(whole.path);
  const same = new Map<string, Same[]>();
  for (const [name, map] of pageMaps(path)) {
    const other = then.get(name);
    const file = nameOf(map.file);
    same.set(file, [...same.get(file) ?? [], ...other ? samePages(map, other) : []]);
  }
  const files: Record<string, PackedRun[]> = {};
  let kept = 0;
  for (const { name } of Array.from(Deno.readDirSync(path)).filter(({ name }) => isPages(name))) {
    const found = (same.get(name) ?? []).sort((a, b) => a.at - b.at);
    files[name] = runsOf(found, Deno.statSync(`${path}/${name}`).size / PAGE_BYTES);
    kept += writeOwn(path, name, files[name]);
  }
  Deno.writeTextFileSync(`${path}/${DELTA}.new`, encodeDelta({ base: base.id, files }));
  sync(`${path}/${DELTA}.new`);
  Deno.renameSync(`${path}/${DELTA}.new`, `${path}/${DELTA}`);
  sync(path);
  for (const name of Object.keys(files)) Deno.removeSync(`${path}/${name}`);
  return kept;
}

function depthOf({ path }: Snapshot, locked: Locked): number {
  const delta = readDelta(path);
  return delta ? 1 + depthOf(locked.store.find(delta.base), locked) : 0;
}

/** The pages of `map` that `other` has too, as they lie in the files of both. */
function* samePages(map: PageMap, other: PageMap): Iterable<Same> {
  using one = open(map.file, 0);
  using base = open(other.file, 0);
  const file = nameOf(other.file);
  for (const { pages, first, second } of common(map.runs, other.runs)) {
    let begun = -1;
    const end = (page: number): Same[] => {
      if (begun < 0) return [];
      const from = begun;
      begun = -1;
      return [{
        at: first + from * PAGE_BYTES,
        pages: page - from,
        file,
        offset: second + from * PAGE_BYTES,
      }];
    };
    for (let done = 0; done < pages; done += PIECE_PAGES) {
      const count = Math.min(PIECE_PAGES, pages - done);
      const [left, right] = [
        words(one, first + done * PAGE_BYTES, count),
        words(base, second + done * PAGE_BYTES, count),
      ];
      for (let page = 0; page < count; page++) {
        if (isSame(left, right, page)) begun = begun < 0 ? done + page : begun;
        else yield* end(done + page);
      }
    }
    yield* end(pages);
  }
}

function words(file: Fd, offset: number, pages: number): BigUint64Array {
  const piece = new Uint8Array(pages * PAGE_BYTES);
  readAt(file, piece, offset);
  return new BigUint64Array(piece.buffer);
}

function isSame(left: BigUint64Array, right: BigUint64Array, page: number): boolean {
  const count = PAGE_BYTES / 8;
  for (let word = page * count; word < (page + 1) * count; word++) {
    if (left[word] !== right[word]) return false;
  }
  return true;
}

/** All pages of a file, those between the same ones being its own. */
function runsOf(same: readonly Same[], pages: number): PackedRun[] {
  const runs: PackedRun[] = [];
  let at = 0;
  for (const { at: offset, pages: count, ...place } of same) {
    const page = offset / PAGE_BYTES;
    if (page < at) continue; // several have the same memory
    if (page > at) runs.push({ pages: page - at });
    runs.push({ pages: count, ...place });
    at = page + count;
  }
  if (pages > at) runs.push({ pages: pages - at });
  return runs;
}

function writeOwn(path: string, name: string, runs: readonly PackedRun[]): number {
  const target = `${path}/${ownPages(name)}`;
  try {
    Deno.removeSync(target); // of a command that was killed
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  using from = open(`${path}/${name}`, 0);
  using to = open(target, O_WRONLY | O_CREAT | O_EXCL, 0o600);
  let at = 0;
  let kept = 0;
  for (const { pages, file } of runs) {
    const bytes = pages * PAGE_BYTES;
    if (file === undefined) {
      copyPart(to, from, at, bytes);
      kept += bytes;
    }
    at += bytes;
  }
  check(libc.fsync(to.raw), "write", target);
  return kept;
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function sync(path: string): void {
  using fd = open(path, 0);
  check(libc.fsync(fd.raw), "write", path);
}
