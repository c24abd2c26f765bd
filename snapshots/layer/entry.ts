import { nameOf } from "../../ffi/tree.ts";
import { exact, integer, list, map, need, oneOf, Place, type Shape, text } from "../../runtime/spec/shape.ts";
import { readOwnFile, unusable } from "../own_file.ts";

/** What a container has written over its rootfs: this beside CRIU's images. */
export const INDEX = "layer.json";
/** The content of its files, one after the other. */
export const DATA = "layer.data";

const VERSION = 1;
/** An index that is larger is not read. */
export const MOST_INDEX_BYTES: number = 256 << 20;
const MOST_PATH_BYTES = 4000;
const KINDS = [
  "directory",
  "file",
  "link",
  "fifo",
  "socket",
  "character",
  "block",
  "whiteout",
  "name",
] as const;

/** One file of a layer. Paths are relative to the root, without a slash in front; the root's own is empty. */
export interface LayerEntry {
  readonly path: string;
  /** `whiteout`: what lies below is gone; `name`: one more name of an earlier file, `target`. */
  readonly kind: typeof KINDS[number];
  readonly mode?: number;
  /** Ids as the container has them. */
  readonly uid?: number;
  readonly gid?: number;
  /** Nanoseconds since 1970. */
  readonly accessed?: string;
  readonly modified?: string;
  readonly bytes?: number;
  /** Where in the data its content begins, and which parts of it lie there: all others are holes. */
  readonly at?: number;
  readonly extents?: readonly (readonly [offset: number, bytes: number])[];
  readonly target?: string;
  readonly device?: readonly [major: number, minor: number];
  /** Nothing of the directory below shows through. */
  readonly opaque?: boolean;
  /** Extended attributes, in base 64. */
  readonly attributes?: Readonly<Record<string, string>>;
}

const size = integer(0, Number.MAX_SAFE_INTEGER);
/** Files of a layer as they are written. */
export const ENTRIES: Shape<readonly LayerEntry[]> = list(
  exact<LayerEntry>({
    path: need(text(4 * MOST_PATH_BYTES)),
    kind: need(oneOf(KINDS)),
    mode: integer(0, 0o7777),
    uid: integer(0, 0xfffffffe),
    gid: integer(0, 0xfffffffe),
    accessed: time,
    modified: time,
    bytes: size,
    at: size,
    extents: list(pair, 1_000_000),
    target: text(4 * 4096),
    device: pair,
    opaque: (value, at) => value === true ? true : at.mismatch(value, "true"),
    attributes: map(text(128 << 10)),
  }),
  4_000_000,
);
const shape: Shape<{ readonly version: number; readonly entries: readonly LayerEntry[] }> = exact({
  version: need(integer(VERSION, VERSION)),
  entries: need(ENTRIES),
});

function time(value: unknown, at: Place): string | undefined {
  return typeof value === "string" && /^-?\d{1,18}\d?$/.test(value)
    ? value
    : at.mismatch(value, "nanoseconds");
}

function pair(value: unknown, at: Place): readonly [number, number] | undefined {
  const isPair = Array.isArray(value) && value.length === 2 &&
    value.every((each) => Number.isSafeInteger(each) && each >= 0);
  return isPair ? value as unknown as readonly [number, number] : at.mismatch(value, "two numbers");
}

/** Names of bytes as text: what is no UTF-8 is written as `%XX`, and so is `%`. */
function textOf(name: string): string {
  const bytes = Uint8Array.from(name, (each) => each.charCodeAt(0));
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes).replaceAll("%", "%25");
  } catch {
    return name.replace(/[%\x80-\xff]/g, (each) => hex(each.charCodeAt(0)));
  }
}

/** A path of a layer for people: nothing in it steers a terminal. */
export function shownPath(path: string): string {
  const escape = (each: string): string => Array.from(new TextEncoder().encode(each), hex).join("");
  return textOf(path).replace(/[\p{Cc}\p{Cf}]/gu, escape);
}

function hex(byte: number): string {
  return `%${byte.toString(16).padStart(2, "0")}`;
}

function bytesOf(value: string): string {
  const name = nameOf(new TextEncoder().encode(value));
  return name.replace(/%([0-9a-f]{2})/g, (_, code) => String.fromCharCode(parseInt(code, 16)));
}

/** A layer's files as text, in the order in which they can be made. */
export function* encodeIndex(entries: readonly LayerEntry[]): Iterable<string> {
  yield `{"version":${VERSION},"entries":[`;
  yield* encodeEntries(entries);
  yield "\n]}\n";
}

/** What {@linkcode ENTRIES} reads, without its brackets. */
export function* encodeEntries(entries: readonly LayerEntry[]): Iterable<string> {
  for (const [index, entry] of entries.entries()) {
    const { path, target, attributes } = entry;
    const line = {
      ...entry,
      path: textOf(path),
      ...(target !== undefined && { target: textOf(target) }),
      ...(attributes && {
        attributes: Object.fromEntries(
          Object.entries(attributes).map(([name, value]) => [textOf(name), value]),
        ),
      }),
    };
    yield `${index === 0 ? "" : ","}\n${JSON.stringify(line)}`;
  }
}

/**
 * The files of the layer in a directory of images.
 *
 * @throws {LifecycleError} if it says something that cannot be: it may come from anybody.
 */
export function readIndex(directory: string): LayerEntry[] {
  const file = `${directory}/${INDEX}`;
  const index = readOwnFile(file, MOST_INDEX_BYTES, shape);
  if (!index) throw unusable(file, "there is no such file");
  const entries = decodeEntries(index.entries);
  const wrong = whatIsWrong(entries, Deno.lstatSync(`${directory}/${DATA}`).size);
  if (wrong) throw unusable(file, wrong);
  return entries;
}

/** Files with names as the kernel has them. */
export function decodeEntries(entries: readonly LayerEntry[]): LayerEntry[] {
  return entries.map((entry) => ({
    ...entry,
    path: bytesOf(entry.path),
    ...(entry.target !== undefined && { target: bytesOf(entry.target) }),
    ...(entry.attributes && {
      attributes: Object.fromEntries(
        Object.entries(entry.attributes).map(([name, each]) => [bytesOf(name), each]),
      ),
    }),
  }));
}

/** Why files cannot be a layer: each must lie in an earlier directory, and what they refer to must be there. */
export function whatIsWrong(entries: readonly LayerEntry[], dataBytes: number): string | undefined {
  const kinds = new Map<string, LayerEntry["kind"]>();
  for (const entry of entries) {
    const { path, kind, bytes = 0, at = 0, extents = [], target } = entry;
    const says = (why: string): string => `"${textOf(path)}" ${why}`;
    if (kinds.has(path)) return says("is there twice");
    kinds.set(path, kind);
    if (path === "") {
      if (kind !== "directory") return "the root is no directory";
      continue;
    }
    if (path.length > MOST_PATH_BYTES || path.includes("\0")) return says("is no path");
    if (path.split("/").some((each) => each === "" || each === "." || each === ".." || each.length > 255)) {
      return says("is no path below the root");
    }
    if (kinds.get(path.slice(0, Math.max(0, path.lastIndexOf("/")))) !== "directory") {
      return says("lies in no directory of the layer");
    }
    if (kind === "link" && (target === undefined || target === "" || target.includes("\0"))) {
      return says("leads nowhere");
    }
    if (kind === "name" && !isLinkable(kinds.get(target ?? ""))) return says("is one more name of no file");
    if (kind !== "file") continue;
    let end = 0;
    let stored = at;
    for (const [offset, length] of extents) {
      if (offset < end || offset + length > bytes) return says("has parts that cannot be");
      end = offset + length;
      stored += length;
    }
    if (stored > dataBytes) return says("has content that is not there");
  }
  return undefined;
}

function isLinkable(kind: LayerEntry["kind"] | undefined): boolean {
  return kind !== undefined && kind !== "directory" && kind !== "whiteout" && kind !== "name";
}
