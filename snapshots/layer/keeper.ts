import type { Fd } from "../../ffi/fd.ts";
import { detachedCopy } from "../../ffi/tree.ts";
import type { Arch } from "../../runtime/plan/abi.ts";
import type { Spec } from "../../runtime/spec/config.ts";
import { type Captured, captureLayer, writeIndex } from "./capture.ts";
import type { LayerEntry } from "./entry.ts";
import { type Ids, idsOf } from "./ids.ts";
import { mergedRoot } from "./merged_root.ts";

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
  #entries: readonly LayerEntry[] | undefined;

  constructor({ pid, arch, rootfs, spec }: OverlaidContainer) {
    using parts = new DisposableStack();
    this.#merged = parts.use(mergedRoot(pid, arch));
    this.#lower = parts.use(detachedCopy(rootfs));
    this.#ids = idsOf(spec);
    parts.move();
  }

  /** Writes what the files hold to a directory of images; nothing of the container may run. */
  capture(directory: string): void {
    this.#entries = captureLayer({ merged: this.#merged, lower: this.#lower, ids: this.#ids }, directory);
  }

  /** Writes which files these are; the container may run again. */
  finish(directory: string): Captured | undefined {
    return this.#entries && writeIndex(this.#entries, directory);
  }

  [Symbol.dispose](): void {
    this.#merged[Symbol.dispose]();
    this.#lower[Symbol.dispose]();
  }
}
