import { SyscallError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { copyPart, openBelow, seek } from "../../ffi/tree.ts";
import {
  extend,
  linkFileAt,
  makeDirectoryAt,
  makeFileAt,
  makeLinkAt,
  makeNodeAt,
  setAttribute,
  setOwnerAt,
  setTimesAt,
} from "../../ffi/tree_write.ts";
import { unusable } from "../own_file.ts";
import type { LayerEntry } from "./entry.ts";
import type { Ids } from "./ids.ts";

/** What the files of a layer may be. */
export interface LayerRules {
  readonly ids: Ids;
  /** Which devices may be in it. */
  readonly allowsDevice: (kind: "c" | "b", major: number, minor: number) => boolean;
  /** What the overlay's own attributes begin with, if it is for one; no file of a layer may bring one. */
  readonly marks?: "trusted.overlay." | "user.overlay.";
}

/** Files that are to be made. */
export interface KeptFiles {
  /** As read from the index; they may come from anybody. */
  readonly entries: readonly LayerEntry[];
  /** Where their contents lie. */
  readonly data: Fd;
  /** The index, for messages. */
  readonly index: string;
  /** What they are to fit into, for messages. */
  readonly into: string;
}

const O_PATH = 0o10000000;
const [O_DIRECTORY, O_NOFOLLOW] = Deno.build.arch === "x86_64" ? [0o200000, 0o400000] : [0o40000, 0o100000];
const TYPE: Readonly<Partial<Record<LayerEntry["kind"], number>>> = {
  fifo: 0o010000,
  character: 0o020000,
  block: 0o060000,
  socket: 0o140000,
};
const ENOSPC = 28;

/**
 * Makes files that were kept.
 *
 * @param upper An empty directory that nobody else can come to: the upper one of an overlay that is not mounted yet.
 * @throws {LifecycleError} if there is something among them that must not be there, or that finds no room.
 */
export function applyLayer({ entries, data, index, into }: KeptFiles, upper: Fd, rules: LayerRules): void {
  using apply = new Apply(upper, data, rules, (path, why) => {
    return unusable(index, `"/${path.slice(0, 200)}" ${why}`);
  });
  try {
    for (const entry of entries) apply.make(entry);
    // Times last: what is made in a directory changes its own.
    for (const entry of entries.toReversed()) apply.finish(entry);
  } catch (error) {
    if (!(error instanceof SyscallError) || error.errno !== ENOSPC) throw error;
    throw unusable(index, `it does not fit into ${into}`);
  }
}

class Apply implements Disposable {
  readonly upper: Fd;
  #parent: { readonly path: string; readonly fd: Fd } | undefined;

  constructor(
    upper: Fd,
    readonly data: Fd,
    readonly rules: LayerRules,
    readonly wrong: (path: string, why: string) => Error,
  ) {
    this.upper = upper;
  }

  make(entry: LayerEntry): void {
    const { path, kind, target = "" } = entry;
    const [directory, name] = this.#place(path);
    switch (kind) {
      case "directory":
        if (path !== "") makeDirectoryAt(directory, name);
        break;
      case "file":
        this.#write(directory, name, entry);
        break;
      case "link":
        makeLinkAt(directory, name, target);
        break;
      case "name": {
        const end = target.lastIndexOf("/");
        using from = openBelow(this.upper, target.slice(0, Math.max(0, end)), O_PATH | O_DIRECTORY);
        return linkFileAt(from, target.slice(end + 1), directory, name);
      }
      case "whiteout":
        return makeNodeAt(directory, name, 0o020000);
      case "character":
      case "block": {
        const [major, minor] = entry.device ?? [0, 0];
        if (!this.rules.allowsDevice(kind === "block" ? "b" : "c", major, minor)) {
          throw this.wrong(path, `is the device ${major}:${minor}, which config.json does not allow`);
        }
        makeNodeAt(directory, name, TYPE[kind]!, [major, minor]);
        break;
      }
      case "fifo":
      case "socket":
        makeNodeAt(directory, name, TYPE[kind]!);
        break;
      default:
        kind satisfies never;
    }
    this.#dress(directory, name, entry);
  }

  finish({ path, kind, accessed = "0", modified = "0" }: LayerEntry): void {
    if (kind === "whiteout" || kind === "name") return;
    const [directory, name] = this.#place(path);
    setTimesAt(directory, name, BigInt(accessed), BigInt(modified));
  }

  #write(directory: Fd, name: string, { bytes = 0, at = 0, extents = [] }: LayerEntry): void {
    using file = makeFileAt(directory, name);
    extend(file, bytes);
    let stored = at;
    for (const [offset, length] of extents) {
      seek(file, offset);
      copyPart(file, this.data, stored, length);
      stored += length;
    }
  }

  /** Owner, mode and attributes. */
  #dress(directory: Fd, name: string, entry: LayerEntry): void {
    const { path, kind, mode = 0, attributes = {} } = entry;
    const uid = this.rules.ids.outside("uid", entry.uid ?? 0);
    const gid = this.rules.ids.outside("gid", entry.gid ?? 0);
    if (uid === undefined || gid === undefined) {
      throw this.wrong(path, "belongs to somebody whom the container does not have");
    }
    setOwnerAt(directory, name, { uid, gid, mode: kind === "link" ? undefined : mode });
    const { marks } = this.rules;
    const own = marks && kind === "directory" && entry.opaque ? [["opaque", "y"]] as const : [];
    if (own.length === 0 && Object.keys(attributes).length === 0) return;
    using file = openBelow(directory, name, O_PATH | O_NOFOLLOW);
    for (const [attribute, value] of Object.entries(attributes)) {
      if (marks && attribute.startsWith(marks)) throw this.wrong(path, `has a mark of overlays`);
      setAttribute(file, attribute, this.#decoded(path, value));
    }
    for (const [attribute, value] of own) {
      setAttribute(file, marks + attribute, new TextEncoder().encode(value));
    }
  }

  /** The bytes of an attribute. */
  #decoded(path: string, value: string): Uint8Array<ArrayBuffer> {
    try {
      return Uint8Array.fromBase64(value);
    } catch {
      throw this.wrong(path, "has an attribute that is not in base 64");
    }
  }

  /** The directory that a path lies in, and the name there. */
  #place(path: string): [directory: Fd, name: string] {
    if (path === "") return [this.upper, "."];
    const end = path.lastIndexOf("/");
    const parent = path.slice(0, Math.max(0, end));
    if (this.#parent?.path !== parent) {
      this.#parent?.fd[Symbol.dispose]();
      this.#parent = { path: parent, fd: openBelow(this.upper, parent, O_PATH | O_DIRECTORY | O_NOFOLLOW) };
    }
    return [this.#parent.fd, path.slice(end + 1)];
  }

  [Symbol.dispose](): void {
    this.#parent?.fd[Symbol.dispose]();
  }
}
