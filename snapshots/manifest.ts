import {
  flag,
  integer,
  list,
  map,
  need,
  object,
  oneOf,
  type Place,
  type Shape,
  text,
} from "../runtime/spec/shape.ts";
import type { ExternalFile } from "./descriptors.ts";
import type { ExternalMount } from "./external_mounts.ts";
import { readOwnFile } from "./own_file.ts";

/** The form of the manifests that this version writes. */
const VERSION = 1;
/** The name of a manifest in its directory of images. */
export const MANIFEST = "ai-sandbox.json";
const MOST_BYTES = 64 << 20;

/** What a file of a checkpoint must be. */
export interface FileSeal {
  readonly bytes: number;
  /** SHA-256 of the SHA-256 of each piece of 16 MiB, in hexadecimal. */
  readonly sha256: string;
}

/** What is known of a checkpoint beside CRIU's images. It says nothing of what a restored container may do. */
export interface Manifest {
  readonly version: number;
  /** The container that it was taken of. */
  readonly id: string;
  /** When, as ISO 8601. */
  readonly created: string;
  readonly kernel: string;
  readonly arch: string;
  /** Features of the processor that programs look at once and then rely on. */
  readonly cpu: string;
  /**
   * `full`: it can be restored; `light`: its program can be begun anew, with its files and environment; `pre`: only
   * memory, for a later one to build upon.
   */
  readonly kind: "full" | "light" | "pre";
  /** Absolute path of the bundle at that time. */
  readonly bundle: string;
  readonly mounts: readonly ExternalMount[];
  readonly files: readonly ExternalFile[];
  /** `empty`, `made`: the network namespace was left out, it had nothing but loopback; a restore makes it by CRIU, or before. */
  readonly network: "kept" | "empty" | "made" | "external" | "shared";
  /** Whether it had a place on a network of ours: a restore takes another one. */
  readonly isConnected?: boolean;
  /** Relative path of the images that these build upon. */
  readonly parent?: string;
  /** What was written over the rootfs, if an overlay lay there: how much of it is beside these. */
  readonly layer?: { readonly entries: number; readonly bytes: number };
  /** File systems in memory whose files are beside these, by their paths. */
  readonly memory?: { readonly mounts: readonly string[]; readonly bytes: number };
  /**
   * `elsewhere`: a page server has taken the pages of memory: they have no seals, and are put beside these by whoever restores.
   * `served`: most of them are not there, but were served to who fetched them late.
   */
  readonly pages?: "elsewhere" | "served";
  readonly seals: Readonly<Record<string, FileSeal>>;
}

const shape: Shape<Manifest> = object<Manifest>({
  version: need(integer(VERSION, VERSION)),
  id: need(text(1024)),
  created: need(text(64)),
  kernel: need(text(256)),
  arch: need(text(32)),
  cpu: need(text(8192)),
  kind: need(oneOf(["full", "light", "pre"] as const)),
  bundle: need(text(4096)),
  mounts: need(list(
    object<ExternalMount>({ path: need(text(4096)), type: need(text(64)), controllers: text(256) }),
    10_000,
  )),
  files: need(list(object<ExternalFile>({ key: need(text(128)), stdio: need(stdio) }), 1024)),
  network: need(oneOf(["kept", "empty", "made", "external", "shared"] as const)),
  isConnected: flag,
  parent: text(4096),
  layer: object<NonNullable<Manifest["layer"]>>({
    entries: need(integer(0, Number.MAX_SAFE_INTEGER)),
    bytes: need(integer(0, Number.MAX_SAFE_INTEGER)),
  }),
  memory: object<NonNullable<Manifest["memory"]>>({
    mounts: need(list(text(4096), 10_000)),
    bytes: need(integer(0, Number.MAX_SAFE_INTEGER)),
  }),
  pages: oneOf(["elsewhere", "served"] as const),
  seals: need(map(
    object<FileSeal>({ bytes: need(integer(0, Number.MAX_SAFE_INTEGER)), sha256: need(text(64)) }),
  )),
});

function stdio(value: unknown, at: Place): 0 | 1 | 2 | undefined {
  return value === 0 || value === 1 || value === 2 ? value : at.mismatch(value, "0, 1 or 2");
}

/** A manifest as text. */
export function encodeManifest(manifest: Omit<Manifest, "version">): string {
  return JSON.stringify({ version: VERSION, ...manifest }, null, 1);
}

/**
 * The manifest of a directory of images; `undefined` if it has none, since another runtime has written it.
 *
 * @throws {LifecycleError} if nobody can go by it.
 */
export function readManifest(directory: string): Manifest | undefined {
  return readOwnFile(`${directory}/${MANIFEST}`, MOST_BYTES, shape);
}
