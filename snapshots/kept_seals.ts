import { open } from "../ffi/fd.ts";
import { fileSystemOf, lookAt } from "../ffi/tree.ts";
import { hasNoWriter } from "../ffi/writers.ts";
import { BUILD_ID } from "../runtime/build_id.ts";
import { keep, readKept } from "../runtime/kept_files.ts";
import { bootId } from "../runtime/state/liveness.ts";
import { HOW, stampFrom } from "./file_stamp.ts";
import type { FileSeal } from "./manifest.ts";

const KIND = "seals";
const [S_IFMT, S_IFREG] = [0o170000, 0o100000];
const O_DIRECTORY = Deno.build.arch === "x86_64" ? 0o200000 : 0o40000;
/**
 * ext4, XFS and Btrfs: who writes to a file, by a mapping too, moves the time of its last change, which nobody can set. A
 * tmpfs does not for a mapping, and what lies below others may change without them.
 */
export const FILE_SYSTEMS: readonly bigint[] = [0xef53n, 0x58465342n, 0x9123683en];

/** A file as it was when it was hashed. */
interface Known extends FileSeal {
  readonly stamp: string;
}

/**
 * What earlier commands have hashed of a directory of images, in this boot: a file of which nothing has changed since then
 * is not read again. It lies where only who restores may write; whatever is odd there is only hashed again.
 */
export class KeptSeals {
  readonly #directory: string;
  readonly #device: number;
  readonly #known: Map<string, Known>;
  #isNew = false;

  private constructor(directory: string, device: number, known: Map<string, Known>) {
    this.#directory = directory;
    this.#device = device;
    this.#known = known;
  }

  /** Nothing in a checkout, and on file systems that do not tell of all changes. */
  static of(directory: string): KeptSeals | undefined {
    if (BUILD_ID === "") return undefined;
    try {
      using opened = open(directory, O_DIRECTORY);
      if (!FILE_SYSTEMS.includes(fileSystemOf(opened))) return undefined;
      const unchanged = read(directory).filter(([name, { stamp }]) => {
        const look = lookAt(opened, name);
        return look !== undefined && (look.mode & S_IFMT) === S_IFREG && stampFrom(look) === stamp;
      });
      return new KeptSeals(directory, lookAt(opened)!.device, new Map(unchanged));
    } catch {
      return undefined; // whoever reads the directory says why
    }
  }

  /** Whether a file has this seal by what is known. */
  has(name: string, { bytes, sha256 }: FileSeal): boolean {
    const known = this.#known.get(name);
    return known !== undefined && known.bytes === bytes && known.sha256 === sha256;
  }

  /** Hashes a file by `compare`, which throws if it has not this seal, and remembers that it has. */
  async learn(name: string, seal: FileSeal, compare: () => Promise<void>): Promise<void> {
    const stamp = this.#stamp(name);
    await compare();
    if (stamp === undefined || this.#stamp(name) !== stamp) return;
    this.#known.set(name, { stamp, bytes: seal.bytes, sha256: seal.sha256 });
    this.#isNew = true;
  }

  /** Keeps for the next command what was learnt, if anything was. */
  write(): void {
    if (!this.#isNew) return;
    keep(KIND, this.#directory, () => {
      const kept = { boot: bootId(), directory: this.#directory, files: [...this.#known] };
      return new TextEncoder().encode(JSON.stringify(kept));
    });
  }

  /** Who has mapped a page of it that is written out only later could write there without a trace. */
  #stamp(name: string): string | undefined {
    using file = open(`${this.#directory}/${name}`, HOW);
    const look = lookAt(file)!;
    return look.device === this.#device && hasNoWriter(file) ? stampFrom(look) : undefined;
  }
}

function read(directory: string): [string, Known][] {
  try {
    const kept = JSON.parse(new TextDecoder().decode(readKept(KIND, directory)));
    if (kept.boot !== bootId() || kept.directory !== directory) return [];
    return kept.files.filter(isKnown);
  } catch {
    return []; // there is none, or it is damaged
  }
}

function isKnown([name, { stamp, bytes, sha256 }]: [string, Known]): boolean {
  return [name, stamp, sha256].every((each) => typeof each === "string") && typeof bytes === "number";
}
