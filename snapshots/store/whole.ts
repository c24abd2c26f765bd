import { type Fd, open } from "../../ffi/fd.ts";
import { copyPart } from "../../ffi/tree.ts";
import { readManifest } from "../manifest.ts";
import { unusable } from "../own_file.ts";
import { isPacked, isPages, ownPages, PAGE_BYTES, readDelta, ZIPPED, zippedNames } from "./delta.ts";
import type { Locked, Snapshot, SnapshotStore } from "./store.ts";

/** A snapshot as a directory of images for CRIU; disposing removes what was made for that alone. */
export interface WholeSnapshot extends Disposable {
  readonly path: string;
}

const [O_WRONLY, O_CREAT, O_EXCL] = [1, 0o100, 0o200];

/**
 * The whole of a snapshot. One that is packed is put together in the store, under a name that would be swept away.
 *
 * @param locked Held until the whole is disposed of.
 * @throws {LifecycleError} if something of it is missing.
 */
export async function wholeSnapshot({ id, path }: Snapshot, locked: Locked): Promise<WholeSnapshot> {
  const delta = readDelta(path);
  const names = Array.from(Deno.readDirSync(path), ({ name }) => name);
  const missing = Object.keys(delta?.files ?? {}).filter((name) => !names.includes(name));
  const zipped = zippedNames(names);
  // A command that was killed while it packed may have left both.
  if (missing.length === 0 && zipped.length === 0) return { path, [Symbol.dispose]: () => {} };
  using parts = new DisposableStack();
  const directory = Deno.makeTempDirSync({ dir: locked.store.root, prefix: `.${id}.` });
  parts.defer(() => Deno.removeSync(directory, { recursive: true }));
  for (const name of names.filter((each) => !isPacked(each))) {
    Deno.linkSync(`${path}/${name}`, `${directory}/${name}`);
  }
  if (zipped.length > 0) {
    const { unzipFile } = await import("./zipped.ts");
    const seals = readManifest(path)?.seals ?? {};
    for (const name of zipped) {
      unzipFile(`${path}/${name}${ZIPPED}`, `${directory}/${name}`, seals[name]?.bytes ?? 0);
    }
  }
  if (delta && missing.length > 0) {
    using base = await wholeSnapshot(locked.store.find(delta.base), locked);
    for (const name of missing) join(directory, { path, base: base.path }, name, delta.files[name]!);
  }
  const kept = parts.move();
  return { path: directory, [Symbol.dispose]: () => kept.dispose() };
}

function join(
  directory: string,
  { path, base }: { readonly path: string; readonly base: string },
  name: string,
  runs: NonNullable<ReturnType<typeof readDelta>>["files"][string],
): void {
  using files = new DisposableStack();
  const opened = new Map<string, Fd>();
  const fileOf = (file: string): Fd => {
    const known = opened.get(file);
    if (known) return known;
    const fd = files.use(open(file, 0));
    opened.set(file, fd);
    return fd;
  };
  using to = open(`${directory}/${name}`, O_WRONLY | O_CREAT | O_EXCL, 0o600);
  let own = 0;
  try {
    for (const { pages, file, offset = 0 } of runs) {
      const bytes = pages * PAGE_BYTES;
      if (file !== undefined && isPages(file)) copyPart(to, fileOf(`${base}/${file}`), offset, bytes);
      else {
        copyPart(to, fileOf(`${path}/${ownPages(name)}`), own, bytes);
        own += bytes;
      }
    }
  } catch (error) {
    if (error instanceof RangeError) throw unusable(`${path}/${name}`, "pages of it are missing");
    throw error;
  }
}

/** The whole of a snapshot, and the lock of the store where that is needed for it. */
export async function lockedWhole(snapshot: Snapshot, store: SnapshotStore): Promise<WholeSnapshot> {
  const names = Array.from(Deno.readDirSync(snapshot.path), ({ name }) => name);
  if (!readDelta(snapshot.path) && zippedNames(names).length === 0) {
    return { path: snapshot.path, [Symbol.dispose]: () => {} };
  }
  using parts = new DisposableStack();
  const locked = parts.use(await store.lock());
  const whole = parts.use(await wholeSnapshot(snapshot, locked));
  const kept = parts.move();
  return { path: whole.path, [Symbol.dispose]: () => kept.dispose() };
}
