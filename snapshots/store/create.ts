import { UsageError } from "../../runtime/errors.ts";
import { writeCheckpoint } from "../checkpoint.ts";
import type { CheckpointOptions } from "../checkpoint_options.ts";
import { findCriu } from "../installed.ts";
import { MANIFEST } from "../manifest.ts";
import type { FileSeal, Manifest } from "../manifest.ts";
import { noteOrigin, originOf } from "./origin.ts";
import { encodeSnapshot, newSnapshotId, RECORD, type SnapshotSizes } from "./record.ts";
import { forkable, type ForkableSnapshot } from "./forkable.ts";
import { packSnapshot } from "./pack.ts";
import { checkTag, type Locked, SnapshotStore, type SnapshotStoreOptions } from "./store.ts";

/** Options of {@linkcode createSnapshot}. */
export interface CreateSnapshotOptions
  extends SnapshotStoreOptions, Omit<CheckpointOptions, "imagePath" | "parentPath" | "preDump"> {
  /** A name for it, which another loses by that. */
  readonly tag?: string | undefined;
  /** Of its memory only the pages are kept that its parent has not. @default {false} */
  readonly incremental?: boolean;
  /** Its memory is compressed, which takes longer, and longer to restore. @default {false} */
  readonly compress?: boolean;
}

/**
 * Takes a snapshot of a running container into the store; unless it is left running, it is gone afterwards. The
 * snapshot is there whole or not at all.
 *
 * @throws {LifecycleError} if it does not run, or CRIU cannot do it.
 */
export async function createSnapshot(
  container: string,
  options: CreateSnapshotOptions = {},
): Promise<ForkableSnapshot> {
  const { tag, store: _, incremental = false, compress = false, ...checkpoint } = options;
  if (tag !== undefined) checkTag(tag);
  if (incremental && compress) {
    throw new UsageError(
      "Cannot keep a snapshot both compressed and as what differs from its parent: choose one",
    );
  }
  if (options.light && (incremental || compress)) {
    throw new UsageError("Cannot keep a light snapshot compressed or as what differs: it holds no memory");
  }
  const store = new SnapshotStore(options);
  const { version } = options.light ? { version: "" } : findCriu(options.criu);
  const { sealNow } = await import("../seal_now.ts");
  using locked = await store.lock(); // for all of it: what begins with a dot is nobody's then
  locked.sweep();
  const id = newSnapshotId();
  const parent = originOf(container, options);
  const isKnown = parent !== undefined && store.list().snapshots.some((each) => each.id === parent);
  await writeCheckpoint(container, {
    ...checkpoint,
    imagePath: store.pathOf(id),
    finish: (directory, manifest) => {
      const record = {
        id,
        container,
        created: manifest.created,
        ...(isKnown && { parent }),
        criu: version,
        manifest: sealNow(`${directory}/${MANIFEST}`).sha256,
        sizes: sizesOf(manifest),
      };
      Deno.writeTextFileSync(`${directory}/${RECORD}`, encodeSnapshot(record));
    },
  });
  if (options.leaveRunning) noteOrigin(container, id, options);
  if (tag !== undefined) locked.tag(tag, id);
  if (incremental && isKnown) await pack(id, parent, locked);
  if (compress) await zip(id, locked);
  return forkable(store.find(id));
}

async function pack(id: string, parent: string, locked: Locked): Promise<void> {
  const { store } = locked;
  const whole = store.find(id);
  // Before any page is only there: nobody may remove that meanwhile.
  locked.rewrite({ ...whole, base: parent });
  const kept = await packSnapshot(whole, store.find(parent), locked);
  const { sizes } = whole;
  const less = kept === undefined ? undefined : { ...sizes, kept: sizes.total - sizes.memory + kept };
  locked.rewrite(less ? { ...whole, base: parent, sizes: less } : whole);
}

async function zip(id: string, locked: Locked): Promise<void> {
  const { zipSnapshot } = await import("./zipped.ts");
  const snapshot = locked.store.find(id);
  const { sizes } = snapshot;
  const kept = zipSnapshot(snapshot.path);
  locked.rewrite({ ...snapshot, sizes: { ...sizes, kept: sizes.total - sizes.memory + kept } });
}

/** How large what a manifest lists is. */
export function sizesOf({ seals }: Pick<Manifest, "seals">): SnapshotSizes {
  const sum = (fits: (name: string) => boolean): number => {
    return Object.entries<FileSeal>(seals).reduce(
      (all, [name, { bytes }]) => fits(name) ? all + bytes : all,
      0,
    );
  };
  return {
    memory: sum((name) => name.startsWith("pages-")),
    layer: sum((name) => name.startsWith("layer.")),
    total: sum(() => true),
  };
}
