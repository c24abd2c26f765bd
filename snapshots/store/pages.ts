import { type Fd, open } from "../../ffi/fd.ts";
import { readAt } from "../../ffi/tree.ts";
import { readFields, readImage } from "../protobuf.ts";

/** How the memory of one process, or one that several share, differs between two snapshots. */
export interface MemoryDifference {
  /** `process 1`, or CRIU's name of a shared memory. */
  readonly name: string;
  /** In the first. */
  readonly pagesThen: number;
  /** In the second. */
  readonly pagesNow: number;
  /** Of those that are in both. */
  readonly pagesChanged: number;
}

/** Pages of memory that lie one after the other, in memory and in a file. */
export interface Run {
  readonly address: number;
  readonly pages: number;
  readonly offset: number;
}

/** The memory of a process in a directory of images. */
export interface PageMap {
  readonly file: string;
  readonly runs: readonly Run[];
}

const PAGE_BYTES = 4096;
const PIECE_PAGES = 256;
/** Fields of `pagemap_head` and `pagemap_entry`, and its flags. */
const [PAGES_ID, VADDR, OLD_PAGES, IN_PARENT, FLAGS, PAGES] = [1, 1, 2, 3, 4, 5];
const [PE_PARENT, PE_PRESENT] = [1, 4];

/** What of memory is in a directory of images, by names that stay from one checkpoint to the next. */
export function pageMaps(directory: string): Map<string, PageMap> {
  const found = new Map<string, PageMap>();
  for (const { name } of Deno.readDirSync(directory)) {
    const [, whose] = /^pagemap-(.+)\.img$/.exec(name) ?? [];
    if (whose === undefined) continue;
    const { messages: [head, ...entries] } = readImage(Deno.readFileSync(`${directory}/${name}`));
    if (!head) continue;
    const id = numberIn(head, PAGES_ID) ?? 0;
    let offset = 0;
    const runs: Run[] = [];
    for (const entry of entries) {
      const pages = numberIn(entry, PAGES) ?? numberIn(entry, OLD_PAGES) ?? 0;
      const flags = numberIn(entry, FLAGS);
      const isHere = flags === undefined
        ? !numberIn(entry, IN_PARENT)
        : (flags & PE_PARENT) === 0 && (flags & PE_PRESENT) !== 0;
      if (!isHere) continue;
      runs.push({ address: numberIn(entry, VADDR) ?? 0, pages, offset });
      offset += pages * PAGE_BYTES;
    }
    const key = /^\d+$/.test(whose) ? `process ${whose}` : whose;
    found.set(key, {
      file: `${directory}/pages-${id}.img`,
      runs: runs.sort((a, b) => a.address - b.address),
    });
  }
  return found;
}

/** Addresses of user space are below 2⁵³. */
function numberIn(message: Uint8Array<ArrayBuffer>, field: number): number | undefined {
  const value = readFields(message).find(({ number }) => number === field)?.value;
  return typeof value === "bigint" ? Number(value) : undefined;
}

/** Compares memory page by page. */
export function* comparePages(
  then: ReadonlyMap<string, PageMap>,
  now: ReadonlyMap<string, PageMap>,
): Iterable<MemoryDifference> {
  for (const name of [...new Set([...then.keys(), ...now.keys()])].sort()) {
    const [a, b] = [then.get(name), now.get(name)];
    yield {
      name,
      pagesThen: total(a),
      pagesNow: total(b),
      pagesChanged: a && b ? changed(a, b) : 0,
    };
  }
}

function total(map: PageMap | undefined): number {
  return map?.runs.reduce((sum, { pages }) => sum + pages, 0) ?? 0;
}

function changed(a: PageMap, b: PageMap): number {
  using one = open(a.file, 0);
  using other = open(b.file, 0);
  let count = 0;
  for (const { pages, first, second } of common(a.runs, b.runs)) {
    for (let done = 0; done < pages; done += PIECE_PAGES) {
      const bytes = Math.min(PIECE_PAGES, pages - done) * PAGE_BYTES;
      const [left, right] = [
        pagesAt(one, first + done * PAGE_BYTES, bytes),
        pagesAt(other, second + done * PAGE_BYTES, bytes),
      ];
      for (let page = 0; page < bytes / 8; page += PAGE_BYTES / 8) {
        for (let word = page; word < page + PAGE_BYTES / 8; word++) {
          if (left[word] === right[word]) continue;
          count++;
          break;
        }
      }
    }
  }
  return count;
}

function pagesAt(file: Fd, offset: number, bytes: number): BigUint64Array {
  const piece = new Uint8Array(bytes);
  readAt(file, piece, offset);
  return new BigUint64Array(piece.buffer);
}

/** The pages that are in both, with where they lie in the files of both. */
export function* common(
  a: readonly Run[],
  b: readonly Run[],
): Iterable<
  { readonly address: number; readonly pages: number; readonly first: number; readonly second: number }
> {
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const [one, other] = [a[i]!, b[j]!];
    const from = Math.max(one.address, other.address);
    const ends = [one.address + one.pages * PAGE_BYTES, other.address + other.pages * PAGE_BYTES] as const;
    const to = Math.min(...ends);
    if (from < to) {
      yield {
        address: from,
        pages: (to - from) / PAGE_BYTES,
        first: one.offset + from - one.address,
        second: other.offset + from - other.address,
      };
    }
    if (ends[0] === to) i++;
    else j++;
  }
}
