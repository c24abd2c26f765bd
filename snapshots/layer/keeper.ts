import type { Fd } from "../../ffi/fd.ts";
import { detachedCopy } from "../../ffi/tree.ts";
import type { Arch } from "../../runtime/plan/abi.ts";
import type { Spec } from "../../runtime/spec/config.ts";
import { captureLayer } from "./capture.ts";
import { DataFile } from "./data_file.ts";
import { DATA, encodeIndex, INDEX, type LayerEntry } from "./entry.ts";
import { type Ids, idsOf } from "./ids.ts";
import { mergedRoot } from "./inside_mounts.ts";
import { type Captured, writeIndex } from "./write_index.ts";

/** What the layer of a container is found by. */
export interface OverlaidContainer {
  /** Its first process. */
  readonly pid: number;
  readonly arch: Arch;
  /** What lies below its overlay, on the host. */
  readonly rootfs: string;
  readonly spec: Spec;
}

/** Holds the root of a container with an overlay, so that nothing is left to be found when it is stopped. */
export class LayerKeeper implements Disposable {
  readonly #merged: Fd;
  readonly #lower: Fd;
  readonly #ids: Ids;
  #captured: { readonly entries: readonly LayerEntry[]; readonly bytes: number } | undefined;

  constructor({ pid, arch, rootfs, spec }: OverlaidContainer) {
    using parts = new DisposableStack();
    this.#merged = parts.use(mergedRoot(pid, arch));
    this.#lower = parts.use(detachedCopy(rootfs));
    this.#ids = idsOf(spec);
    parts.move();
  }

  /** Writes what the files hold to a directory of images; nothing of the container may run. */
  capture(directory: string): void {
    using data = new DataFile(`${directory}/${DATA}`);
    const entries = captureLayer({ merged: this.#merged, lower: this.#lower, ids: this.#ids }, data);
    data.flush();
    this.#captured = { entries, bytes: data.bytes };
  }

  /** Writes which files these are; the container may run again. */
  finish(directory: string): Captured | undefined {
    if (!this.#captured) return undefined;
    const { entries, bytes } = this.#captured;
    writeIndex(`${directory}/${INDEX}`, encodeIndex(entries));
    return { entries: entries.length, bytes };
  }

  [Symbol.dispose](): void {
    this.#merged[Symbol.dispose]();
    this.#lower[Symbol.dispose]();
  }
}
