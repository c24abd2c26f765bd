import { resolve } from "@std/path";
import { LifecycleError, UsageError } from "../../runtime/errors.ts";
import { Stage } from "../images.ts";
import { MANIFEST, type Manifest, readManifest } from "../manifest.ts";
import { checkSnapshot } from "./check.ts";
import { sizesOf } from "./create.ts";
import { DELTA } from "./delta.ts";
import { decodeSnapshot, encodeSnapshot, isSnapshotId, RECORD, type SnapshotRecord } from "./record.ts";
import { checkTag, type Snapshot, SnapshotStore, type SnapshotStoreOptions } from "./store.ts";
import { wholeSnapshot } from "./whole.ts";
import { HEADER_BYTES, padding, readTarHeader, TAR_END, tarHeader } from "./tar.ts";

const PIECE_BYTES = 1 << 20;
/** What the two files may have that say what all others must be. */
const MOST_HEAD_BYTES = 64 << 20;

/**
 * Writes a snapshot to one file, a tar archive: its record, its manifest, then all that the manifest lists.
 *
 * @throws {LifecycleError} if it is not whole. @throws {UsageError} if there is such a file already.
 */
export async function exportSnapshot(
  name: string,
  file: string,
  options: SnapshotStoreOptions = {},
): Promise<void> {
  const store = new SnapshotStore(options);
  using locked = await store.lock(); // nobody removes it meanwhile
  const snapshot = store.find(name);
  using directory = await wholeSnapshot(snapshot, locked);
  const { seals } = await checkSnapshot(snapshot, directory.path);
  const whole = resolve(file);
  if (isThere(whole)) throw new UsageError(`Cannot write "${file}": there is one already`);
  const temporary = Deno.makeTempFileSync({
    dir: whole.slice(0, whole.lastIndexOf("/")) || "/",
    prefix: ".export-",
  });
  try {
    using archive = Deno.openSync(temporary, { write: true });
    // In an archive each is whole by itself.
    const { path: _, tags: __, base: ___, ...record } = snapshot;
    const { memory, layer, total } = record.sizes;
    const text = new TextEncoder().encode(encodeSnapshot({ ...record, sizes: { memory, layer, total } }));
    writeAll(archive, tarHeader(`${snapshot.id}/${RECORD}`, text.length));
    writeAll(archive, text);
    writeAll(archive, new Uint8Array(padding(text.length)));
    for (const each of [MANIFEST, ...Object.keys(seals)]) {
      const path = `${directory.path}/${each}`;
      const { size } = Deno.lstatSync(path);
      writeAll(archive, tarHeader(`${snapshot.id}/${each}`, size));
      using from = Deno.openSync(path);
      copy(from, archive, size);
      writeAll(archive, new Uint8Array(padding(size)));
    }
    writeAll(archive, TAR_END);
    archive.syncSync();
    Deno.renameSync(temporary, whole);
  } catch (error) {
    Deno.removeSync(temporary);
    throw error;
  }
}

/** Options of {@linkcode importSnapshot}. */
export interface ImportOptions extends SnapshotStoreOptions {
  /** A name for it, which another loses by that. */
  readonly tag?: string | undefined;
}

/**
 * Takes a snapshot from a file into the store. The file may come from anybody: nothing of it is written anywhere but in
 * a new directory of the store, no more than its own manifest says, and it is a snapshot only when all was compared.
 *
 * @throws {LifecycleError} if it is no archive of a snapshot, or something in it is not as it should be.
 */
export async function importSnapshot(file: string, options: ImportOptions = {}): Promise<Snapshot> {
  if (options.tag !== undefined) checkTag(options.tag);
  const store = new SnapshotStore(options);
  using locked = await store.lock();
  locked.sweep();
  using archive = Deno.openSync(file);
  if (!archive.statSync().isFile) throw refusal(file, "it is no ordinary file");
  const reader = new Reader(archive, file);
  const head = reader.next(RECORD);
  const id = head.id;
  const record = decodeSnapshot(reader.text(head.sizeBytes), `${file}: ${RECORD}`);
  if (record.id !== id) throw refusal(file, `it calls itself ${record.id}`);
  using stage = new Stage(store.pathOf(id));
  const manifestBytes = reader.next(MANIFEST, id).sizeBytes;
  if (manifestBytes > MOST_HEAD_BYTES) throw refusal(file, "its manifest is too large");
  reader.write(`${stage.path}/${MANIFEST}`, manifestBytes);
  const manifest = readManifest(stage.path)!;
  const left = new Map(Object.entries(manifest.seals));
  for (const name of left.keys()) {
    if (name === RECORD || name === DELTA || name.endsWith(".delta")) {
      throw refusal(file, `its manifest has "${name}", which only a store has`);
    }
  }
  for (let next = reader.any(id); next; next = reader.any(id)) {
    const seal = left.get(next.name);
    if (!seal) throw refusal(file, `"${next.name}" is there twice, or its manifest does not know it`);
    if (seal.bytes !== next.sizeBytes) {
      throw refusal(file, `"${next.name}" has another size than its manifest says`);
    }
    left.delete(next.name);
    reader.write(`${stage.path}/${next.name}`, next.sizeBytes);
  }
  const [missing] = left.keys();
  if (missing !== undefined) throw refusal(file, `"${missing}" is missing`);
  const known = store.list().snapshots.find((each) => each.id === id);
  if (known && known.manifest !== record.manifest) throw refusal(file, `there is another snapshot "${id}"`);
  if (!known) await keep(store, stage, record, manifest);
  if (options.tag !== undefined) locked.tag(options.tag, id);
  return store.find(id);
}

async function keep(
  store: SnapshotStore,
  stage: Stage,
  { parent, base: _, ...record }: SnapshotRecord,
  manifest: Manifest,
): Promise<void> {
  const isKnown = parent !== undefined && store.list().snapshots.some(({ id }) => id === parent);
  const kept = { ...record, ...(isKnown && { parent }), sizes: sizesOf(manifest), imported: true };
  Deno.writeTextFileSync(`${stage.path}/${RECORD}`, encodeSnapshot(kept));
  await checkSnapshot({ ...kept, path: stage.path, tags: [] });
  stage.commit(RECORD);
}

/** Reads an archive from its begin to its end. */
class Reader {
  constructor(readonly archive: Deno.FsFile, readonly file: string) {}

  /** The next file, which must be this one. */
  next(name: string, id?: string): { readonly id: string; readonly sizeBytes: number } {
    const found = this.#header();
    if (found?.name !== name || (id !== undefined && found.id !== id)) {
      throw refusal(this.file, `it is no archive of a snapshot: "${name}" is missing`);
    }
    return found;
  }

  /** The next file, whichever it is; nothing at the end. */
  any(id: string): { readonly name: string; readonly sizeBytes: number } | undefined {
    const found = this.#header();
    if (found && found.id !== id) throw refusal(this.file, `it holds files of "${found.id}" too`);
    return found;
  }

  text(sizeBytes: number): string {
    if (sizeBytes > 1 << 20) throw refusal(this.file, "its record is too large");
    const text = new TextDecoder().decode(this.#read(sizeBytes));
    this.#read(padding(sizeBytes));
    return text;
  }

  write(path: string, sizeBytes: number): void {
    using to = Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
    try {
      copy(this.archive, to, sizeBytes);
    } catch (error) {
      throw error instanceof RangeError ? refusal(this.file, "it was cut off") : error;
    }
    this.#read(padding(sizeBytes));
  }

  #header(): { readonly id: string; readonly name: string; readonly sizeBytes: number } | undefined {
    let header: ReturnType<typeof readTarHeader>;
    try {
      header = readTarHeader(this.#read(HEADER_BYTES));
    } catch (error) {
      if (error instanceof LifecycleError) throw error;
      throw refusal(this.file, error instanceof Error ? error.message : String(error));
    }
    if (!header) return undefined;
    const [id = "", name = "", ...more] = header.name.split("/");
    if (more.length > 0 || !isSnapshotId(id) || !/^[A-Za-z0-9][\w.-]{0,127}$/.test(name)) {
      throw refusal(this.file, `it holds ${JSON.stringify(header.name)}, which is no file of a snapshot`);
    }
    return { id, name, sizeBytes: header.sizeBytes };
  }

  #read(count: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(count);
    for (let done = 0; done < count;) {
      const more = this.archive.readSync(bytes.subarray(done));
      if (!more) throw refusal(this.file, "it was cut off");
      done += more;
    }
    return bytes;
  }
}

/** @throws {RangeError} if there is not as much. */
function copy(from: Deno.FsFile, to: Deno.FsFile, sizeBytes: number): void {
  const piece = new Uint8Array(Math.min(PIECE_BYTES, sizeBytes));
  for (let left = sizeBytes; left > 0;) {
    const count = from.readSync(piece.subarray(0, Math.min(left, piece.length)));
    if (!count) throw new RangeError("Cannot copy a file: it ends too early");
    writeAll(to, piece.subarray(0, count));
    left -= count;
  }
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
}

function isThere(path: string): boolean {
  try {
    return Deno.lstatSync(path) !== undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function refusal(file: string, why: string): LifecycleError {
  return new LifecycleError(`Cannot import "${file}": ${why}; export it anew`);
}
