import { isId } from "../../runtime/state/container_id.ts";
import { parsed } from "../../runtime/spec/parsed.ts";
import { exact, integer, need, Place, type Shape, text } from "../../runtime/spec/shape.ts";
import { unusable } from "../own_file.ts";

const VERSION = 1;
/** What the store knows of a snapshot, beside its images. */
export const RECORD = "snapshot.json";
const MOST_BYTES = 1 << 20;

/** How large the parts of a snapshot are. */
export interface SnapshotSizes {
  /** Pages of memory. */
  readonly memory: number;
  /** What was written over the rootfs. */
  readonly layer: number;
  /** All files. */
  readonly total: number;
  /** Of all, what lies on the disk: pages that its base has are not there again. */
  readonly kept?: number;
}

/** What the store knows of a snapshot. */
export interface SnapshotRecord {
  /** The form of the record. */
  readonly version: number;
  /** Twelve hexadecimal digits. */
  readonly id: string;
  /** The container that it was taken of. */
  readonly container: string;
  /** When, as ISO 8601. */
  readonly created: string;
  /** The snapshot that the container went on from, or was taken of before. */
  readonly parent?: string;
  /** The snapshot that has the pages which this one does not hold itself. */
  readonly base?: string;
  /** Version of the CRIU that has written it; empty for a light one, which none has a part in. */
  readonly criu: string;
  /** SHA-256 of its manifest, which has those of all other files. */
  readonly manifest: string;
  /** In bytes. */
  readonly sizes: SnapshotSizes;
  /** It came from elsewhere: what it says of this host is not believed. */
  readonly imported?: boolean;
}

const size = integer(0, Number.MAX_SAFE_INTEGER);
const shape: Shape<SnapshotRecord> = exact<SnapshotRecord>({
  version: need(integer(VERSION, VERSION)),
  id: need(snapshotId),
  container: need((value, at) => {
    return typeof value === "string" && isId(value) ? value : at.mismatch(value, "the id of a container");
  }),
  created: need((value, at) => {
    return typeof value === "string" && !isNaN(Date.parse(value)) ? value : at.mismatch(value, "a time");
  }),
  parent: snapshotId,
  base: snapshotId,
  criu: need(text(64)),
  manifest: need(text(64)),
  sizes: need(exact<SnapshotSizes>({ memory: need(size), layer: need(size), total: need(size), kept: size })),
  imported: (value, at) => typeof value === "boolean" ? value : at.mismatch(value, "true or false"),
});

function snapshotId(value: unknown, at: Place): string | undefined {
  return typeof value === "string" && isSnapshotId(value)
    ? value
    : at.mismatch(value, "the id of a snapshot");
}

/** Whether a name is the id of a snapshot: it becomes a part of paths. */
export function isSnapshotId(name: string): boolean {
  return /^[0-9a-f]{12}$/.test(name);
}

/** A new id. */
export function newSnapshotId(): string {
  return crypto.getRandomValues(new Uint8Array(6)).toHex();
}

/** A record as text. */
export function encodeSnapshot(record: Omit<SnapshotRecord, "version">): string {
  return JSON.stringify({ version: VERSION, ...record }, null, 1) + "\n";
}

/** A record as it was read from `file`. @throws {LifecycleError} if nobody can go by it. */
export function decodeSnapshot(source: string, file: string): SnapshotRecord {
  if (source.length > MOST_BYTES) throw unusable(file, "it is too large");
  return parsed(source, shape, (why) => unusable(file, why));
}
