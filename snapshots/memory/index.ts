import { exact, integer, list, need, type Shape, text } from "../../runtime/spec/shape.ts";
import {
  decodeEntries,
  encodeEntries,
  ENTRIES,
  type LayerEntry,
  MOST_INDEX_BYTES,
  whatIsWrong,
} from "../layer/entry.ts";
import { readOwnFile, unusable } from "../own_file.ts";

/** The files of the file systems in memory: this beside CRIU's images. */
export const INDEX = "memory.json";
/** The content of the files, one after the other. */
export const DATA = "memory.data";

const VERSION = 1;

/** The files of one file system in memory. */
export interface KeptMount {
  /** Where it is in the container. */
  readonly path: string;
  readonly entries: readonly LayerEntry[];
}

const shape: Shape<{ readonly version: number; readonly mounts: readonly KeptMount[] }> = exact({
  version: need(integer(VERSION, VERSION)),
  mounts: need(list(exact<KeptMount>({ path: need(text(4096)), entries: need(ENTRIES) }), 10_000)),
});

/** File systems in memory as text. */
export function* encodeMemory(mounts: readonly KeptMount[]): Iterable<string> {
  yield `{"version":${VERSION},"mounts":[`;
  for (const [index, { path, entries }] of mounts.entries()) {
    yield `${index === 0 ? "" : ","}\n{"path":${JSON.stringify(path)},"entries":[`;
    yield* encodeEntries(entries);
    yield "]}";
  }
  yield "\n]}\n";
}

/**
 * The file systems in memory of a directory of images.
 *
 * @throws {LifecycleError} if it says something that cannot be: it may come from anybody.
 */
export function readMemory(directory: string): KeptMount[] {
  const file = `${directory}/${INDEX}`;
  const index = readOwnFile(file, MOST_INDEX_BYTES, shape);
  if (!index) throw unusable(file, "there is no such file");
  const { size } = Deno.lstatSync(`${directory}/${DATA}`);
  return index.mounts.map(({ path, entries: given }) => {
    const entries = decodeEntries(given);
    const wrong = entries[0]?.path === "" ? whatIsWrong(entries, size) : `"${path}" has no root`;
    if (wrong) throw unusable(file, wrong);
    return { path, entries };
  });
}
