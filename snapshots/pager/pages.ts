import { type Fd, open } from "../../ffi/fd.ts";
import { check } from "../../ffi/errno.ts";
import { libc } from "../../ffi/libc.ts";
import { emptyMemoryFile, executable } from "../../ffi/memfd.ts";
import { UnsupportedError } from "../../runtime/errors.ts";
import { probeHost } from "../../runtime/host/probe.ts";
import { assemble } from "../../runtime/launch/image.ts";
import type { ImageChanges } from "../live_images.ts";
import { mostThreads } from "./allowed.ts";
import { notInherited, type PageMap, pidOfPageMap, readPageMap, watched } from "./pagemap.ts";
import { type LazyPlace, pagerPlan } from "./plan.ts";
import { LOW_END, PAGE_BYTES } from "./words.ts";

/** The kernel allows a process 65530 mappings. */
const MOST_RANGES = 30_000;
const AT_PAGESZ = 6n;
const O_RDONLY = 0;

/** The pages of images, in memory once, from which pagers of any number of containers bring them in. */
export class Pages implements Disposable {
  /** Images that CRIU is to read otherwise. */
  readonly changes: ImageChanges;
  readonly #parts = new DisposableStack();
  readonly #pagers = new Map<number, Fd>();
  /** What its pagers read pages from. */
  readonly file: Fd;
  /** Has something only below {@linkcode LOW_END}. */
  readonly low: Fd;

  /**
   * @param path Directory of the images.
   * @throws {UnsupportedError} if they cannot be brought in later.
   */
  constructor(path: string) {
    using parts = new DisposableStack();
    refusePageSize();
    const maps = mapsIn(path);
    const writable = parts.use(emptyMemoryFile("pages"));
    const begins = new Map<string, number>();
    let length = 0;
    for (const { pages } of maps) {
      if (begins.has(pages)) continue;
      begins.set(pages, length);
      length += copy(`${path}/${pages}`, writable);
    }
    const changes = new Map<string, Uint8Array<ArrayBuffer>>();
    const { arch } = probeHost();
    const isSingle = mostThreads(Deno.readFileSync(`${path}/pstree.img`)) === 1;
    for (const { pid, pages, ranges, places, changed } of maps) {
      const begin = begins.get(pages)!;
      const moved = ranges.map((each) => ({ ...each, offset: each.offset + begin }));
      const { elf } = assemble(pagerPlan(arch, moved, places, isSingle));
      if (elf.length > LOW_END / 2) throw tooMany();
      this.#pagers.set(pid, parts.use(executable("pager", elf)));
      if (changed) changes.set(`pagemap-${pid}.img`, changed);
    }
    this.changes = changes;
    this.file = parts.use(open(`/proc/self/fd/${writable.raw}`, O_RDONLY));
    this.low = parts.use(lowFile());
    this.#parts = parts.move();
  }

  /** The processes that there are pages of, by their numbers in their pid namespace. */
  get pids(): Iterable<number> {
    return this.#pagers.keys();
  }

  /** The program of the pager of a process. */
  pagerOf(pid: number): Fd | undefined {
    return this.#pagers.get(pid);
  }

  [Symbol.dispose](): void {
    this.#parts.dispose();
  }
}

interface WatchedMap extends PageMap {
  readonly places: readonly LazyPlace[];
}

function mapsIn(path: string): WatchedMap[] {
  const maps: WatchedMap[] = [];
  for (const { name } of Deno.readDirSync(path)) {
    const pid = pidOfPageMap(name);
    if (pid === undefined) continue;
    const memory = Deno.readFileSync(`${path}/mm-${pid}.img`);
    const map = readPageMap(pid, Deno.readFileSync(`${path}/${name}`), notInherited(memory));
    if (!map) throw refused("the images build upon those of another checkpoint");
    const places = watched(memory);
    if (map.ranges.length + places.length > MOST_RANGES) throw tooMany();
    maps.push({ ...map, places });
  }
  return maps;
}

function tooMany(): UnsupportedError {
  return refused("the memory is in too many pieces");
}

function refused(reason: string): UnsupportedError {
  return new UnsupportedError("--lazy", reason, "leave it out");
}

/** Copies a whole file to the end of another; its length. */
function copy(path: string, to: Fd): number {
  let from: Fd;
  try {
    from = open(path, O_RDONLY);
  } catch {
    throw refused(`the images have no "${path.slice(path.lastIndexOf("/") + 1)}"`);
  }
  using _from = from;
  for (let length = 0;;) {
    const count = check(libc.sendfile(to.raw, from.raw, null, 1n << 30n), "read", path);
    if (count === 0) return length;
    length += count;
  }
}

function lowFile(): Fd {
  using writable = emptyMemoryFile("low");
  using file = Deno.openSync(`/proc/self/fd/${writable.raw}`, { write: true });
  file.seekSync(LOW_END - 1, Deno.SeekMode.Start);
  file.writeSync(new Uint8Array(1));
  return open(`/proc/self/fd/${writable.raw}`, O_RDONLY);
}

function refusePageSize(): void {
  const words = new BigUint64Array(Deno.readFileSync("/proc/self/auxv").slice().buffer);
  const at = words.findIndex((word, index) => index % 2 === 0 && word === AT_PAGESZ);
  if (words[at + 1] !== BigInt(PAGE_BYTES)) throw refused("pages of this kernel have another size");
}
