import { DATA, type LayerEntry, readIndex, shownPath } from "../layer/entry.ts";
import { type Fd, open } from "../../ffi/fd.ts";
import { readAt } from "../../ffi/tree.ts";
import { manifestOf } from "./check.ts";
import { comparePages, type MemoryDifference, pageMaps } from "./pages.ts";
import { type Snapshot, SnapshotStore, type SnapshotStoreOptions } from "./store.ts";
import { wholeSnapshot } from "./whole.ts";

/** A file that two snapshots do not have alike. */
export interface FileDifference {
  /** From the root on, without a slash in front; bytes that are no text are written as `%XX`. */
  readonly path: string;
  /** `added`: written over the rootfs since; `removed`: gone, of the layer or of the rootfs. */
  readonly how: "added" | "removed" | "changed";
  /** What of it has changed. */
  readonly what?: readonly string[];
}

/** How two snapshots differ. */
export interface SnapshotDifference {
  /** By path. */
  readonly files: readonly FileDifference[];
  /** By process. */
  readonly memory: readonly MemoryDifference[];
}

const PIECE_BYTES = 1 << 20;

/** Compares the files and the memory of two snapshots. @throws {LifecycleError} if one cannot be used. */
export async function diffSnapshots(
  first: string,
  second: string,
  options: SnapshotStoreOptions = {},
): Promise<SnapshotDifference> {
  const store = new SnapshotStore(options);
  using locked = await store.lock();
  const [a, b] = [store.find(first), store.find(second)];
  using wholeThen = await wholeSnapshot(a, locked);
  using wholeNow = await wholeSnapshot(b, locked);
  using then = await layerOf(a);
  using now = await layerOf(b);
  return {
    files: [...compareFiles(then, now)],
    memory: [...comparePages(pageMaps(wholeThen.path), pageMaps(wholeNow.path))],
  };
}

interface Layer extends Disposable {
  readonly entries: ReadonlyMap<string, LayerEntry>;
  readonly data: Fd | undefined;
}

async function layerOf(snapshot: Snapshot): Promise<Layer> {
  const { layer } = await manifestOf(snapshot);
  if (!layer) return { entries: new Map(), data: undefined, [Symbol.dispose]: () => {} };
  const entries = new Map(readIndex(snapshot.path).map((entry) => [entry.path, entry]));
  const data = open(`${snapshot.path}/${DATA}`, 0);
  return { entries, data, [Symbol.dispose]: () => data[Symbol.dispose]() };
}

function* compareFiles(then: Layer, now: Layer): Iterable<FileDifference> {
  const paths = [...new Set([...then.entries.keys(), ...now.entries.keys()])].sort();
  for (const path of paths) {
    const [a, b] = [then.entries.get(path), now.entries.get(path)];
    const shown = shownPath(path);
    const wasThere = a !== undefined && a.kind !== "whiteout";
    const isThere = b !== undefined && b.kind !== "whiteout";
    if (!wasThere && !isThere) {
      // What is gone of the rootfs in one only.
      if (b && !a) yield { path: shown, how: "removed" };
      else if (a && !b) yield { path: shown, how: "added" };
    } else if (!wasThere) yield { path: shown, how: "added" };
    else if (!isThere) yield { path: shown, how: "removed" };
    else {
      const what = [...changes(whole(a, then), whole(b!, now), then, now)];
      if (what.length > 0) yield { path: shown, how: "changed", what };
    }
  }
}

/** One more name of a file is that file. */
function whole(entry: LayerEntry, { entries }: Layer): LayerEntry {
  return entry.kind === "name" ? entries.get(entry.target ?? "") ?? entry : entry;
}

function* changes(a: LayerEntry, b: LayerEntry, then: Layer, now: Layer): Iterable<string> {
  if (a.kind !== b.kind) return yield `${a.kind} → ${b.kind}`;
  if (a.mode !== b.mode) yield "mode";
  if (a.uid !== b.uid || a.gid !== b.gid) yield "owner";
  if (a.modified !== b.modified) yield "time";
  if (a.target !== b.target) yield "target";
  if (String(a.device) !== String(b.device)) yield "device";
  if (JSON.stringify(a.attributes ?? {}) !== JSON.stringify(b.attributes ?? {})) yield "attributes";
  if (a.kind === "file" && !hasSameContent(a, b, then, now)) yield "content";
}

function hasSameContent(a: LayerEntry, b: LayerEntry, then: Layer, now: Layer): boolean {
  const size = a.bytes ?? 0;
  if (size !== (b.bytes ?? 0)) return false;
  for (let at = 0; at < size; at += PIECE_BYTES) {
    const length = Math.min(PIECE_BYTES, size - at);
    const [one, other] = [piece(a, then, at, length), piece(b, now, at, length)];
    if (one.some((byte, index) => byte !== other[index])) return false;
  }
  return true;
}

/** A part of a file's content, with its holes. */
function piece(
  { at = 0, extents = [] }: LayerEntry,
  { data }: Layer,
  from: number,
  length: number,
): Uint8Array {
  const bytes = new Uint8Array(length);
  let stored = at;
  for (const [offset, count] of extents) {
    const start = Math.max(offset, from);
    const end = Math.min(offset + count, from + length);
    if (start < end) readAt(data!, bytes.subarray(start - from, end - from), stored + start - offset);
    stored += count;
  }
  return bytes;
}
