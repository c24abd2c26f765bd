import type { Fd } from "../../ffi/fd.ts";
import {
  attributesOf,
  extentsOf,
  type FileLook,
  lookAt,
  namesIn,
  openAt,
  openBelow,
  targetOf,
} from "../../ffi/tree.ts";
import { UnsupportedError } from "../../runtime/errors.ts";
import type { DataFile } from "./data_file.ts";
import type { LayerEntry } from "./entry.ts";
import type { Ids } from "./ids.ts";

/** What a layer is found by. */
export interface LayerSource {
  /** The root as the container sees it. */
  readonly merged: Fd;
  /** The rootfs below; without it everything is captured. */
  readonly lower?: Fd;
  readonly ids: Ids;
}

const S_IFMT = 0o170000;
const KIND: Readonly<Record<number, LayerEntry["kind"]>> = {
  0o010000: "fifo",
  0o020000: "character",
  0o040000: "directory",
  0o060000: "block",
  0o100000: "file",
  0o120000: "link",
  0o140000: "socket",
};
const [O_NONBLOCK, O_NOATIME, O_PATH] = [0o4000, 0o1000000, 0o10000000];
const [O_DIRECTORY, O_NOFOLLOW] = Deno.build.arch === "x86_64" ? [0o200000, 0o400000] : [0o40000, 0o100000];
const LIST = O_DIRECTORY | O_NOATIME | O_NOFOLLOW;
const MOST_PATH_BYTES = 4000;

/**
 * Writes what a container has changed in its root to the data of a layer. The upper layer itself is out of reach, and
 * differs in every kernel; so the root is compared with the rootfs below. A file that was changed was copied up, which
 * gave it an inode of another change time, and all directories above it too: what has the time of below is skipped, with
 * all that is in it. The container must not run meanwhile.
 *
 * @throws {UnsupportedError} for what cannot be kept.
 */
export function captureLayer(source: LayerSource, data: DataFile): LayerEntry[] {
  const capture = new Capture(source, data);
  capture.run();
  return capture.entries;
}

class Capture {
  readonly entries: LayerEntry[] = [];
  /** Files that have several names, by their inodes. */
  readonly #linked = new Map<string, string>();

  constructor(readonly source: LayerSource, readonly data: DataFile) {}

  run(): void {
    const { merged } = this.source;
    using directory = openBelow(merged, "", LIST);
    const root = this.#entry("", lookAt(directory)!, directory);
    // By hand: a tree may be deeper than the stack, and than descriptors could be open.
    const waiting = [{ entry: root, isMerged: this.source.lower !== undefined }];
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const below = this.#directory(next.entry, next.isMerged);
      waiting.push(...below.reverse());
    }
  }

  /** Takes what is in a directory; the directories in it that are to be looked at, and whether they hide others. */
  #directory(entry: LayerEntry, isMerged: boolean): { entry: LayerEntry; isMerged: boolean }[] {
    const { path } = entry;
    const found: { entry: LayerEntry; isMerged: boolean }[] = [];
    using merged = openBelow(this.source.merged, path, LIST);
    using lower = isMerged ? openBelow(this.source.lower!, path, LIST) : undefined;
    const names = namesIn(merged);
    const has = new Set(names);
    const hidden = lower ? namesIn(lower) : [];
    const isOpaque = hidden.length > 0 && !hidden.some((each) => has.has(each));
    this.entries.push(isOpaque ? { ...entry, opaque: true } : entry);
    const below = new Set(isOpaque ? [] : hidden);
    const inside = (name: string): string => path === "" ? name : `${path}/${name}`;
    for (const name of below) {
      if (!has.has(name)) this.entries.push({ path: inside(name), kind: "whiteout" });
    }
    for (const name of names) {
      const look = lookAt(merged, name);
      if (!look) continue;
      const old = below.has(name) ? lookAt(lower!, name) : undefined;
      if (old && isSame(look, old)) continue;
      const whole = inside(name);
      if (whole.length > MOST_PATH_BYTES) throw unkept(whole, "its path is too long");
      // Devices and fifos are not to be opened.
      const isOpened = ["file", "directory"].includes(KIND[look.mode & S_IFMT]!);
      using file = openAt(merged, name, isOpened ? O_NONBLOCK | O_NOATIME : O_PATH);
      const one = this.#entry(whole, look, file);
      if (one.kind === "directory") {
        found.push({ entry: one, isMerged: old !== undefined && KIND[old.mode & S_IFMT] === "directory" });
      } else this.entries.push(one);
    }
    return found;
  }

  #entry(path: string, look: FileLook, file: Fd): LayerEntry {
    const kind = KIND[look.mode & S_IFMT]!;
    if (kind !== "directory" && look.links > 1) {
      const identity = `${look.device}:${look.inode}`;
      const target = this.#linked.get(identity);
      if (target !== undefined) return { path, kind: "name", target };
      this.#linked.set(identity, path);
    }
    const { ids } = this.source;
    const [uid, gid] = [ids.inside("uid", look.uid), ids.inside("gid", look.gid)];
    if (uid === undefined || gid === undefined) throw unkept(path, "it belongs to nobody in the container");
    const attributes = attributesOf(file, kind === "file" || kind === "directory");
    return {
      path,
      kind,
      mode: look.mode & ~S_IFMT,
      uid,
      gid,
      accessed: String(look.accessedNs),
      modified: String(look.modifiedNs),
      ...(kind === "file" && this.#content(look, file)),
      ...(kind === "link" && { target: targetOf(file) }),
      ...((kind === "character" || kind === "block") && { device: look.node }),
      ...(attributes.size > 0 && {
        attributes: Object.fromEntries(
          Array.from(attributes, ([name, value]) => [name, value.toBase64()]),
        ),
      }),
    };
  }

  #content({ sizeBytes }: FileLook, file: Fd): Pick<LayerEntry, "bytes" | "at" | "extents"> {
    if (sizeBytes === 0) return { bytes: 0 };
    const at = this.data.bytes;
    const extents = [...extentsOf(file, sizeBytes)];
    for (const [offset, bytes] of extents) this.data.store(file, offset, bytes);
    return { bytes: sizeBytes, at, extents };
  }
}

/** Whether a file is the one below: nobody can set the time of its last change. */
function isSame(one: FileLook, other: FileLook): boolean {
  return one.changedNs === other.changedNs && one.modifiedNs === other.modifiedNs &&
    (one.mode & S_IFMT) === (other.mode & S_IFMT);
}

function unkept(path: string, why: string): UnsupportedError {
  return new UnsupportedError(
    "a checkpoint",
    `"/${path.slice(0, 200)}" cannot be kept: ${why}`,
    "remove it before",
  );
}
