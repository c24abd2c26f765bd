import { type Bundle, loadBundle } from "../runtime/bundle.ts";
import { UsageError } from "../runtime/errors.ts";
import { findContainer, specOf } from "../runtime/lifecycle/container.ts";
import { Store } from "../runtime/state/store.ts";
import { checkpointContainer } from "./checkpoint.ts";
import { type Images, openImages } from "./open_images.ts";
import type { CriuOptions } from "./options.ts";
import { bundleOf as snapshotBundle } from "./store/check.ts";
import { type Snapshot, SnapshotStore } from "./store/store.ts";
import { lockedWhole } from "./store/whole.ts";

/** What forks are made of; disposing removes what was made for that alone. */
export interface ForkSource extends Disposable {
  readonly images: Images;
  readonly bundle: Bundle;
  /** The container that the images are of. */
  readonly id: string;
}

/** Where forks come from: a directory of images, a container that runs and goes on, or a snapshot of a store. */
export type ForkOrigin = { readonly images: string } | { readonly container: string } | {
  readonly snapshot: Snapshot;
};

/**
 * What a word of the command line means: a path if there is a `/` in it, else a container, a snapshot, or a path after all.
 */
export function readOrigin(word: string, root: string | undefined, store?: string): ForkOrigin {
  if (word.includes("/") || word === "." || word === "..") return { images: word };
  using entry = new Store(root).find(word);
  if (entry?.read()) return { container: word };
  const snapshots = new SnapshotStore({ store });
  return snapshots.has(word) || store !== undefined ? { snapshot: snapshots.find(word) } : { images: word };
}

/**
 * Opens what forks are to be made of.
 *
 * @param bundle Directory of the bundle; without it that of the container, and for images the working directory.
 * @throws {LifecycleError} if it cannot be used.
 */
export async function openSource(
  origin: ForkOrigin,
  bundle: string | undefined,
  options: CriuOptions,
): Promise<ForkSource> {
  if ("images" in origin) {
    const images = await openImages(origin.images);
    return {
      images,
      bundle: loadBundle(bundle ?? "."),
      id: images.manifest?.id ?? nameOf(images.path),
      [Symbol.dispose]: () => {},
    };
  }
  if ("snapshot" in origin) {
    const { snapshot } = origin;
    using parts = new DisposableStack();
    const own = loadBundle(await snapshotBundle(snapshot, bundle));
    const store = new SnapshotStore({ store: snapshot.path.slice(0, snapshot.path.lastIndexOf("/")) });
    const images = await openImages(parts.use(await lockedWhole(snapshot, store)).path);
    const kept = parts.move();
    return { images, bundle: own, id: snapshot.container, [Symbol.dispose]: () => kept.dispose() };
  }
  const { container: id } = origin;
  using stack = new DisposableStack();
  const own = await bundleOf(id, options);
  const directory = Deno.makeTempDirSync({ prefix: "ai-sandbox-fork-" });
  stack.defer(() => Deno.removeSync(directory, { recursive: true }));
  const imagePath = `${directory}/images`;
  await checkpointContainer(id, { ...options, imagePath, leaveRunning: true });
  const images = await openImages(imagePath);
  const kept = stack.move();
  return {
    images,
    bundle: bundle === undefined ? own : loadBundle(bundle),
    id,
    [Symbol.dispose]: () => kept.dispose(),
  };
}

async function bundleOf(id: string, options: CriuOptions): Promise<Bundle> {
  using container = findContainer(id, options);
  return { path: container.record.bundle, spec: await specOf(container) };
}

function nameOf(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (name === "") {
    throw new UsageError("Cannot name forks of images in the root directory: give them a name");
  }
  return name;
}
