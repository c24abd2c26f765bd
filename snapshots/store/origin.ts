import { openDirectory, putFileAt, readFileAt } from "../../ffi/directory.ts";
import { type StoreOptions } from "../../runtime/lifecycle/container.ts";
import { Store } from "../../runtime/state/store.ts";
import { isSnapshotId } from "./record.ts";

/** Beside the record of a container: the snapshot that it has gone on from, or that was taken of it last. */
const ORIGIN = "snapshot";
const MOST_BYTES = 64;

/** The snapshot that a container comes from, if it comes from one. */
export function originOf(id: string, { root }: StoreOptions): string | undefined {
  using entry = new Store(root).find(id);
  using directory = entry && openDirectory(entry.path);
  try {
    const text = directory && readFileAt(directory, ORIGIN, MOST_BYTES);
    return text !== undefined && isSnapshotId(text) ? text : undefined;
  } catch {
    return undefined; // it only says what comes after what
  }
}

/** Notes where a container comes from; nothing if it is gone. */
export function noteOrigin(id: string, snapshot: string, { root }: StoreOptions): void {
  using entry = new Store(root).find(id);
  using directory = entry && openDirectory(entry.path);
  if (directory) putFileAt(directory, ORIGIN, new TextEncoder().encode(snapshot));
}
