import { openDirectory, readFileAt, tryLock, writeFileAt } from "../../ffi/directory.ts";
import { check } from "../../ffi/errno.ts";
import { type Fd, open } from "../../ffi/fd.ts";
import { libc } from "../../ffi/libc.ts";
import { LifecycleError, UsageError } from "../../runtime/errors.ts";
import { isId } from "../../runtime/state/container_id.ts";
import { decodeSnapshot, encodeSnapshot, isSnapshotId, RECORD, type SnapshotRecord } from "./record.ts";

const TAGS = "tags.json";
const MOST_BYTES = 1 << 20;
/** What {@linkcode Stage} calls a snapshot that is being written, and `remove` one that goes; nothing else is swept away. */
const LEFT = /^\.(gone\.[0-9a-f]{12}|[0-9a-f]{12}\.[0-9a-zA-Z]+)$/;
const [LOCK_MS, PAUSE_MS] = [120_000, 20];
/** Fewer digits than these name no snapshot. */
const LEAST_DIGITS = 4;

/** Where snapshots are kept. */
export interface SnapshotStoreOptions {
  /** The directory of all snapshots. @default for root `/var/lib/ai-sandbox/snapshots` */
  readonly store?: string | undefined;
}

/** A snapshot of the store. */
export interface Snapshot extends SnapshotRecord {
  /** Where it lies, absolute. */
  readonly path: string;
  /** Its other names, sorted. */
  readonly tags: readonly string[];
}

/** What a directory holds beside snapshots that can be used. */
export interface SnapshotList {
  /** Oldest first. */
  readonly snapshots: readonly Snapshot[];
  /** What is wrong with others. */
  readonly errors: readonly Error[];
}

/** Where snapshots are kept unless somebody says otherwise: they outlast a reboot. */
export function defaultSnapshotStore(): string {
  if (Deno.uid() === 0) return "/var/lib/ai-sandbox/snapshots";
  const home = Deno.env.get("HOME");
  const state = Deno.env.get("XDG_STATE_HOME") ?? (home && `${home}/.local/state`);
  if (state) return `${state}/ai-sandbox/snapshots`;
  throw new UsageError("Cannot keep snapshots: HOME is not set; name a directory by --store");
}

/**
 * A directory with a directory for each snapshot, named by its id, and the tags of all. A snapshot comes and goes by
 * one rename; names that begin with a dot are no snapshots yet, or none any more.
 */
export class SnapshotStore {
  readonly root: string;

  constructor({ store }: SnapshotStoreOptions = {}) {
    this.root = store === undefined ? defaultSnapshotStore() : absolute(store);
  }

  /** Waits until nobody else changes the store; whoever dies has let go of it. @throws {LifecycleError} after two minutes. */
  async lock(): Promise<Locked> {
    Deno.mkdirSync(this.root, { recursive: true, mode: 0o700 });
    for (const end = performance.now() + LOCK_MS;;) {
      const directory = openDirectory(this.root);
      if (directory) {
        if (tryLock(directory)) return new Locked(this, directory);
        directory[Symbol.dispose]();
      }
      if (performance.now() > end) {
        throw new LifecycleError(
          `Cannot change "${this.root}": another command has been at it for ${LOCK_MS} ms`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  /** All snapshots. */
  list(): SnapshotList {
    const snapshots: Snapshot[] = [];
    const errors: Error[] = [];
    const tags = this.tags();
    for (const id of this.#ids()) {
      try {
        snapshots.push(this.#read(id, tags));
      } catch (error) {
        errors.push(error instanceof Error ? error : new Error(String(error)));
      }
    }
    snapshots.sort((a, b) => a.created < b.created ? -1 : a.created > b.created ? 1 : a.id < b.id ? -1 : 1);
    return { snapshots, errors };
  }

  /**
   * A snapshot by a tag, its id, or at least four digits that only its id begins with.
   *
   * @throws {UsageError} if it cannot be a name. @throws {LifecycleError} if there is none, or there are several.
   */
  find(name: string): Snapshot {
    if (!isId(name)) {
      throw new UsageError(
        `Cannot use ${JSON.stringify(name.slice(0, 64))} as the name of a snapshot: it is a tag or an id`,
      );
    }
    const tags = this.tags();
    const tagged = tags[name];
    if (tagged !== undefined) return this.#read(tagged, tags);
    const isPart = name.length >= LEAST_DIGITS && /^[0-9a-f]+$/.test(name);
    const fits = isPart ? this.#ids().filter((id) => id.startsWith(name)) : [];
    if (fits.length > 1) {
      throw new LifecycleError(
        `Cannot find snapshot "${name}": there are ${fits.length} of them; write more digits`,
      );
    }
    if (fits.length === 0) {
      throw new LifecycleError(`Cannot find snapshot "${name}": there is none in "${this.root}"`);
    }
    return this.#read(fits[0]!, tags);
  }

  /** Whether a name is a snapshot's. */
  has(name: string): boolean {
    if (this.tags()[name] !== undefined) return true;
    const isPart = name.length >= LEAST_DIGITS && /^[0-9a-f]+$/.test(name);
    return isPart && this.#ids().some((id) => id.startsWith(name));
  }

  /** Where a snapshot lies. */
  pathOf(id: string): string {
    return `${this.root}/${id}`;
  }

  /** The id of each tag. @throws {LifecycleError} if the file cannot be used. */
  tags(): Record<string, string> {
    using directory = openDirectory(this.root);
    const source = directory && readFileAt(directory, TAGS, MOST_BYTES);
    if (source === undefined) return {};
    let value: unknown;
    try {
      value = JSON.parse(source);
    } catch {
      value = undefined;
    }
    if (typeof value !== "object" || value === null) {
      throw new LifecycleError(
        `Cannot use "${this.root}/${TAGS}": it is no list of tags; remove it, and tag anew`,
      );
    }
    return Object.fromEntries(Object.entries(value).filter(([tag, id]) => isTag(tag) && isSnapshotId(id)));
  }

  #ids(): string[] {
    try {
      return Array.from(Deno.readDirSync(this.root)).flatMap(({ name, isDirectory }) =>
        isDirectory && isSnapshotId(name) ? [name] : []
      ).sort();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }

  #read(id: string, tags: Readonly<Record<string, string>>): Snapshot {
    const path = this.pathOf(id);
    using directory = openDirectory(path);
    const source = directory && readFileAt(directory, RECORD, MOST_BYTES);
    if (source === undefined) {
      throw new LifecycleError(`Cannot use snapshot "${id}": it has no ${RECORD}; remove it`);
    }
    const record = decodeSnapshot(source, `${path}/${RECORD}`);
    if (record.id !== id) {
      throw new LifecycleError(`Cannot use snapshot "${id}": it says that it is ${record.id}`);
    }
    const own = Object.keys(tags).filter((tag) => tags[tag] === id).sort();
    return { ...record, path, tags: own };
  }
}

/** The store while nobody else changes it. */
export class Locked implements Disposable {
  readonly store: SnapshotStore;
  readonly #directory: Fd;

  constructor(store: SnapshotStore, directory: Fd) {
    this.store = store;
    this.#directory = directory;
  }

  /** Gives a snapshot a tag, which another may lose by that; nothing in place of an id takes it away. */
  tag(tag: string, id: string | undefined): void {
    checkTag(tag);
    const { [tag]: _, ...others } = this.store.tags();
    const tags = id === undefined ? others : { ...others, [tag]: id };
    writeFileAt(this.#directory, TAGS, JSON.stringify(tags, null, 1) + "\n");
  }

  /** Writes anew what is known of a snapshot. */
  rewrite({ path, tags: _, ...record }: Snapshot): void {
    using directory = openDirectory(path)!;
    writeFileAt(directory, RECORD, encodeSnapshot(record));
  }

  /** Removes a snapshot with its tags; what came after it comes after its parent then. */
  remove(id: string): void {
    const { snapshots } = this.store.list();
    const needs = snapshots.find(({ base }) => base === id);
    if (needs) {
      throw new LifecycleError(
        `Cannot remove snapshot "${id}": ${needs.id} holds only what differs from it; remove that before`,
      );
    }
    const parent = snapshots.find((each) => each.id === id)?.parent;
    for (const child of snapshots.filter((each) => each.parent === id)) {
      const { path, tags: _, parent: __, ...record } = child;
      using directory = openDirectory(path)!;
      writeFileAt(directory, RECORD, encodeSnapshot({ ...record, ...(parent !== undefined && { parent }) }));
    }
    const tags = Object.entries(this.store.tags()).filter(([, each]) => each !== id);
    writeFileAt(this.#directory, TAGS, JSON.stringify(Object.fromEntries(tags), null, 1) + "\n");
    const gone = `${this.store.root}/.gone.${id}`;
    Deno.renameSync(this.store.pathOf(id), gone);
    check(libc.fsync(this.#directory.raw), "write", this.store.root);
    Deno.removeSync(gone, { recursive: true });
  }

  /** Removes what commands that were killed have left. */
  sweep(): void {
    for (const { name, isDirectory } of Array.from(Deno.readDirSync(this.store.root))) {
      if (isDirectory && LEFT.test(name)) {
        Deno.removeSync(`${this.store.root}/${name}`, { recursive: true });
      }
    }
  }

  /** Waits until the directory would outlast a power cut. */
  sync(): void {
    using directory = open(this.store.root, 0);
    check(libc.fsync(directory.raw), "write", this.store.root);
  }

  [Symbol.dispose](): void {
    this.#directory[Symbol.dispose]();
  }
}

function isTag(tag: string): boolean {
  return isId(tag) && tag.length <= 128 && !/^[0-9a-f]{4,12}$/.test(tag);
}

/** @throws {UsageError} if a tag could be taken for something else. */
export function checkTag(tag: string): void {
  if (isTag(tag)) return;
  throw new UsageError(
    `Cannot use ${
      JSON.stringify(tag.slice(0, 64))
    } as a tag: use at most 128 letters, digits and _ + - . that are no id`,
  );
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
}
