import { exact, integer, list, map, need, type Place, type Shape } from "../../runtime/spec/shape.ts";
import { readOwnFile, unusable } from "../own_file.ts";
import { isSnapshotId } from "./record.ts";

/** In the directory of a snapshot that is packed: where each page of its memory lies. */
export const DELTA = "delta.json";
const VERSION = 1;
const MOST_BYTES = 256 << 20;
export const PAGE_BYTES = 4096;

/** Pages that lie one after the other: in a file of the base, or else in the snapshot's own. */
export interface PackedRun {
  readonly pages: number;
  readonly file?: string;
  /** In that file, in bytes. */
  readonly offset?: number;
}

/** What takes the place of a snapshot's files of pages. */
export interface Delta {
  readonly version: number;
  /** The snapshot that has the other pages. */
  readonly base: string;
  /** By the names of the files. */
  readonly files: Readonly<Record<string, readonly PackedRun[]>>;
}

const size = integer(0, Number.MAX_SAFE_INTEGER);
const shape: Shape<Delta> = exact<Delta>({
  version: need(integer(VERSION, VERSION)),
  base: need((value, at) => {
    return typeof value === "string" && isSnapshotId(value)
      ? value
      : at.mismatch(value, "the id of a snapshot");
  }),
  files: need(map(list(
    exact<PackedRun>({ pages: need(size), file: pagesFile, offset: size }),
    10_000_000,
  ))),
});

function pagesFile(value: unknown, at: Place): string | undefined {
  return typeof value === "string" && isPages(value) ? value : at.mismatch(value, "a file of pages");
}

/** Whether a name is that of one of CRIU's files of pages. */
export function isPages(name: string): boolean {
  return /^pages-\d{1,9}\.img$/.test(name);
}

/** What the name of a file of pages that is compressed ends with. */
export const ZIPPED = ".zst";

/** The names of the files of pages that are there only compressed, as they are called otherwise. */
export function zippedNames(names: readonly string[]): string[] {
  const plain = names.filter((name) => name.endsWith(ZIPPED)).map((name) => name.slice(0, -ZIPPED.length));
  return plain.filter((name) => isPages(name) && !names.includes(name));
}

/** Whether a file is only there to make others from it. */
export function isPacked(name: string): boolean {
  return name === DELTA || [".delta", ZIPPED, `${ZIPPED}.new`].some((end) => name.endsWith(end));
}

/** What the snapshot's own pages of such a file lie in. */
export function ownPages(name: string): string {
  return name.replace(/\.img$/, ".delta");
}

/** A delta as text. */
export function encodeDelta(delta: Omit<Delta, "version">): string {
  return JSON.stringify({ version: VERSION, ...delta }) + "\n";
}

/** How a snapshot is packed; nothing if it is not. @throws {LifecycleError} if nobody can go by it. */
export function readDelta(directory: string): Delta | undefined {
  const file = `${directory}/${DELTA}`;
  const delta = readOwnFile(file, MOST_BYTES, shape);
  for (const name of Object.keys(delta?.files ?? {})) {
    if (!isPages(name)) throw unusable(file, `"${name}" is no file of pages`);
  }
  return delta;
}
