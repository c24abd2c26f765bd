import { UsageError } from "../../runtime/errors.ts";
import { checkSnapshot } from "./check.ts";
import { forkable, type ForkableSnapshot } from "./forkable.ts";
import {
  checkTag,
  type Snapshot,
  type SnapshotList,
  SnapshotStore,
  type SnapshotStoreOptions,
} from "./store.ts";
import { lockedWhole } from "./whole.ts";

/** All snapshots of the store, oldest first, and what is wrong with those that cannot be read. */
export function listSnapshots(options: SnapshotStoreOptions = {}): SnapshotList {
  return new SnapshotStore(options).list();
}

/** A snapshot by a tag, its id, or how only its id begins. @throws {LifecycleError} if there is none. */
export function findSnapshot(name: string, options: SnapshotStoreOptions = {}): ForkableSnapshot {
  return forkable(new SnapshotStore(options).find(name));
}

/** Gives a snapshot one more tag, which another loses by that. */
export async function tagSnapshot(
  name: string,
  tag: string,
  options: SnapshotStoreOptions = {},
): Promise<Snapshot> {
  checkTag(tag);
  const store = new SnapshotStore(options);
  using locked = await store.lock();
  const { id } = store.find(name);
  locked.tag(tag, id);
  return store.find(id);
}

/** Takes a tag away; the snapshot stays. @throws {UsageError} if nothing has it. */
export async function untagSnapshot(tag: string, options: SnapshotStoreOptions = {}): Promise<void> {
  const store = new SnapshotStore(options);
  using locked = await store.lock();
  if (!Object.hasOwn(store.tags(), tag)) {
    throw new UsageError(`Cannot take the tag "${tag.slice(0, 64)}" away: no snapshot has it`);
  }
  locked.tag(tag, undefined);
}

/** Removes a snapshot with its tags. @throws {LifecycleError} if there is none. */
export async function removeSnapshot(name: string, options: SnapshotStoreOptions = {}): Promise<Snapshot> {
  const store = new SnapshotStore(options);
  using locked = await store.lock();
  const snapshot = store.find(name);
  locked.remove(snapshot.id);
  return snapshot;
}

/** Options of {@linkcode pruneSnapshots}. */
export interface PruneOptions extends SnapshotStoreOptions {
  /** How many of the newest of each container stay, beside those with tags. @default 0 */
  readonly keep?: number;
  /** Nothing is removed. @default {false} */
  readonly dryRun?: boolean;
}

/**
 * Removes the snapshots without a tag that no other builds upon, and what commands that were killed have left; which they
 * were.
 */
export async function pruneSnapshots(options: PruneOptions = {}): Promise<Snapshot[]> {
  const { keep = 0, dryRun = false } = options;
  const store = new SnapshotStore(options);
  using locked = await store.lock();
  if (!dryRun) locked.sweep();
  const kept = new Map<string, number>();
  const { snapshots } = store.list();
  const unwanted = snapshots.toReversed().filter(({ container, tags }) => {
    const count = kept.get(container) ?? 0;
    kept.set(container, count + 1);
    return tags.length === 0 && count >= keep;
  });
  const needed = basesOf(snapshots.filter((each) => !unwanted.includes(each)), snapshots);
  const removed = unwanted.filter(({ id }) => !needed.has(id));
  if (!dryRun) { for (const { id } of removed) locked.remove(id); }
  return removed;
}

/** The snapshots that others build upon, directly or not. */
function basesOf(snapshots: readonly Snapshot[], all: readonly Snapshot[]): Set<string> {
  const found = new Set<string>();
  const visit = ({ base }: Snapshot): void => {
    const next = all.find(({ id }) => id === base);
    if (!next || found.has(next.id)) return;
    found.add(next.id);
    visit(next);
  };
  snapshots.forEach(visit);
  return found;
}

/**
 * Compares all files of a snapshot with what was written down when it was taken.
 *
 * @throws {LifecycleError} naming the first that is missing, altered or foreign.
 */
export async function verifySnapshot(name: string, options: SnapshotStoreOptions = {}): Promise<Snapshot> {
  const store = new SnapshotStore(options);
  const snapshot = store.find(name);
  using whole = await lockedWhole(snapshot, store);
  await checkSnapshot(snapshot, whole.path);
  return snapshot;
}
