import { type Field, readFields, readImage, writeFields, writeImage } from "../protobuf.ts";
import type { LazyPlace, LazyRange } from "./plan.ts";
import { LOW_END, PAGE_BYTES } from "./words.ts";

/** Fields of `pagemap_entry`; older CRIUs count in the second. */
const [VADDR, OLD_COUNT, IN_PARENT, FLAGS, COUNT] = [1, 2, 3, 4, 5];
const [PE_PARENT, PE_LAZY, PE_PRESENT] = [1n, 2n, 4n];
/** Field of `mm_entry`; fields of `vma_entry`. */
const [VMAS, START, END, MAPPED, STATUS, ADVICE] = [14, 1, 2, 6, 7, 9];
/** What CRIU has watched: MAP_PRIVATE and MAP_ANONYMOUS, without MAP_LOCKED and MAP_HUGETLB; nothing of the kernel's own. */
const [OWN, NOT_WATCHED, KERNELS] = [0x22n, 0x42000n, 1n << 2n | 1n << 3n | 1n << 12n];
/** MADV_DONTFORK and MADV_WIPEONFORK: a child has not what its parent has. */
const NOT_INHERITED = 1n << 10n | 1n << 18n;
const NAME = /^pagemap-(\d+)\.img$/;

/** The memory of one process in the images. */
export interface PageMap {
  /** Its number in its pid namespace. */
  readonly pid: number;
  /** Name of the file of its pages. */
  readonly pages: string;
  /** What may be fetched later, by where it lies in that file. */
  readonly ranges: readonly LazyRange[];
  /** The image as CRIU is to read it, if some is not to be fetched later after all. */
  readonly changed?: Uint8Array<ArrayBuffer>;
}

/** The number of a process whose memory an image of that name maps. */
export function pidOfPageMap(name: string): number | undefined {
  const digits = NAME.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** What of a process must be there at once, by the image of its memory: what its children do not inherit. */
export function notInherited(bytes: Uint8Array<ArrayBuffer>): LazyPlace[] {
  return vmas(bytes).filter((fields) => ((numberOf(fields, ADVICE) ?? 0n) & NOT_INHERITED) !== 0n)
    .map(placeOf);
}

/** Where a process may have memory that is brought in when it is touched, sorted, by the image of its memory. */
export function watched(bytes: Uint8Array<ArrayBuffer>): LazyPlace[] {
  const places: { begin: number; end: number }[] = [];
  for (const fields of vmas(bytes)) {
    const [how, status] = [numberOf(fields, MAPPED) ?? 0n, numberOf(fields, STATUS) ?? 0n];
    if ((how & OWN) !== OWN || (how & NOT_WATCHED) !== 0n || (status & KERNELS) !== 0n) continue;
    const { begin, end } = placeOf(fields);
    if (end <= LOW_END) continue;
    const last = places.at(-1);
    if (last?.end === begin) last.end = end;
    else places.push({ begin: Math.max(begin, LOW_END), end });
  }
  return places;
}

function vmas(bytes: Uint8Array<ArrayBuffer>): Field[][] {
  const [memory] = readImage(bytes).messages;
  return readFields(memory ?? new Uint8Array()).flatMap(({ number, value }) => {
    return number !== VMAS || typeof value === "bigint" ? [] : [readFields(value)];
  });
}

function placeOf(fields: readonly Field[]): LazyPlace {
  return { begin: Number(numberOf(fields, START)), end: Number(numberOf(fields, END)) };
}

/**
 * Reads the image that maps a process's pages.
 *
 * @param eager What must be there at once.
 * @returns Nothing if some of them are in other images.
 */
export function readPageMap(
  pid: number,
  bytes: Uint8Array<ArrayBuffer>,
  eager: readonly LazyPlace[],
): PageMap | undefined {
  const { magic, messages: [head, ...entries] } = readImage(bytes);
  const pages = head && numberOf(readFields(head), 1);
  if (pages === undefined) throw new Error("Cannot read an image of CRIU: it maps no pages");
  const ranges: LazyRange[] = [];
  let offset = 0;
  let isChanged = false;
  const written = entries.map((entry) => {
    const fields = readFields(entry);
    const flags = numberOf(fields, FLAGS) ?? 0n;
    if ((flags & PE_PARENT) !== 0n || numberOf(fields, IN_PARENT)) return undefined;
    if ((flags & PE_PRESENT) === 0n) return entry;
    const begin = Number(numberOf(fields, VADDR) ?? 0n);
    const size = Number(numberOf(fields, COUNT) ?? numberOf(fields, OLD_COUNT) ?? 0n) * PAGE_BYTES;
    const at = offset;
    offset += size;
    if ((flags & PE_LAZY) === 0n) return entry;
    const end = begin + size;
    if (begin >= LOW_END && !eager.some((each) => each.begin < end && begin < each.end)) {
      join(ranges, { begin, end, offset: at });
      return entry;
    }
    isChanged = true;
    return writeFields(
      fields.map((each) => each.number === FLAGS ? { number: FLAGS, value: flags & ~PE_LAZY } : each),
    );
  });
  if (written.includes(undefined)) return undefined;
  const messages = [head!, ...written as Uint8Array<ArrayBuffer>[]];
  return {
    pid,
    pages: `pages-${pages}.img`,
    ranges,
    ...(isChanged ? { changed: writeImage({ magic, messages }) } : {}),
  };
}

/** Adds a range to those before it, to the last one if that ends where it begins. */
function join(ranges: LazyRange[], { begin, end, offset }: LazyRange): void {
  const last = ranges.at(-1);
  if (last && last.end === begin && last.offset + (last.end - last.begin) === offset) {
    ranges[ranges.length - 1] = { ...last, end };
  } else ranges.push({ begin, end, offset });
}

function numberOf(fields: readonly Field[], number: number): bigint | undefined {
  const value = fields.find((each) => each.number === number)?.value;
  return typeof value === "bigint" ? value : undefined;
}
