import { UsageError } from "../../runtime/errors.ts";
import { DATA, INDEX, readIndex } from "../layer/entry.ts";
import * as memory from "../memory/index.ts";
import { MANIFEST, type Manifest, readManifest } from "../manifest.ts";
import { unusable } from "../own_file.ts";
import { checkSeals, seal } from "../seals.ts";
import { isPacked } from "./delta.ts";
import { RECORD } from "./record.ts";
import type { Snapshot } from "./store.ts";

/** The manifest of a snapshot, if it is the one that was written. @throws {LifecycleError} if it is not. */
export async function manifestOf({ path, manifest: sha256 }: Snapshot): Promise<Manifest> {
  const manifest = readManifest(path);
  const file = `${path}/${MANIFEST}`;
  if (!manifest) throw unusable(file, "it is missing");
  if ((await seal(file)).sha256 !== sha256) throw unusable(file, "it was altered");
  return manifest;
}

/**
 * Compares all files of a snapshot with what is known of them.
 *
 * @param path Where it is whole.
 * @throws {LifecycleError} naming the first that is missing, altered or foreign.
 */
export async function checkSnapshot(snapshot: Snapshot, path: string = snapshot.path): Promise<Manifest> {
  const manifest = await manifestOf(snapshot);
  await checkSeals(path, manifest.seals);
  const known = new Set([MANIFEST, RECORD, ...Object.keys(manifest.seals)]);
  for (const { name, isFile } of Deno.readDirSync(path)) {
    const isLog = isPacked(name) || name.endsWith(".log") || name.startsWith("stats-");
    if (!isFile || !(known.has(name) || isLog)) throw unusable(`${path}/${name}`, "it is foreign");
  }
  const sealed = (...names: readonly string[]): void => {
    for (const name of names) {
      if (!Object.hasOwn(manifest.seals, name)) throw unusable(`${path}/${name}`, "it has no seal");
    }
  };
  if (manifest.layer) {
    sealed(INDEX, DATA);
    readIndex(path);
  }
  if (manifest.memory) {
    sealed(memory.INDEX, memory.DATA);
    memory.readMemory(path);
  }
  return manifest;
}

/** The bundle that a snapshot is restored under. @throws {UsageError} if nobody who is trusted has named one. */
export async function bundleOf(snapshot: Snapshot, given: string | undefined): Promise<string> {
  const { bundle } = await manifestOf(snapshot);
  if (given !== undefined) return given;
  if (!snapshot.imported) return bundle;
  throw new UsageError(
    `Cannot restore snapshot "${snapshot.id}": it was imported; name a bundle by --bundle`,
  );
}
