import type { Fd } from "../../ffi/fd.ts";
import { lookAt } from "../../ffi/tree.ts";
import { LifecycleError } from "../../runtime/errors.ts";
import type { Arch } from "../../runtime/plan/abi.ts";
import type { Spec } from "../../runtime/spec/config.ts";
import { captureLayer } from "../layer/capture.ts";
import { DataFile } from "../layer/data_file.ts";
import { idsOf } from "../layer/ids.ts";
import { insideMounts } from "../layer/inside_mounts.ts";
import { writeIndex } from "../layer/write_index.ts";
import { DATA, encodeMemory, INDEX, type KeptMount } from "./index.ts";
import type { MemoryMount } from "./which.ts";

/** What the file systems in memory of a container are found by. */
export interface MemoryOfContainer {
  /** Its first process. */
  readonly pid: number;
  readonly arch: Arch;
  readonly mounts: readonly MemoryMount[];
  readonly spec: Spec;
  /** Which mounts there are now. */
  readonly lookAgain: () => readonly MemoryMount[];
}

/** Holds the file systems in memory of a container, so that little is left to be done when it is stopped. */
export class MemoryKeeper implements Disposable {
  readonly #fds: readonly Fd[];
  #captured: { readonly mounts: readonly KeptMount[]; readonly bytes: number } | undefined;

  constructor(readonly of: MemoryOfContainer) {
    using parts = new DisposableStack();
    this.#fds = insideMounts(of.pid, of.arch, of.mounts.map(({ path }) => path)).map((fd) => parts.use(fd));
    for (const [index, { path, device }] of of.mounts.entries()) {
      if (numberOf(device) !== lookAt(this.#fds[index]!)!.device) throw changed(path);
    }
    parts.move();
  }

  /** Writes what the files hold to a directory of images; nothing of the container may run. */
  capture(directory: string): void {
    const { mounts, lookAgain, spec } = this.of;
    const now = lookAgain();
    for (const { path, device } of mounts) {
      // A mount that came later would be external, too, and nobody would have its files.
      if (!now.some((each) => each.path === path && each.device === device)) throw changed(path);
    }
    using data = new DataFile(`${directory}/${DATA}`);
    const ids = idsOf(spec);
    const kept = mounts.map(({ path }, index) => {
      return { path, entries: captureLayer({ merged: this.#fds[index]!, ids }, data) };
    });
    data.flush();
    this.#captured = { mounts: kept, bytes: data.bytes };
  }

  /** Writes which files these are; the container may run again. */
  finish(directory: string): { readonly mounts: readonly string[]; readonly bytes: number } | undefined {
    if (!this.#captured) return undefined;
    const { mounts, bytes } = this.#captured;
    writeIndex(`${directory}/${INDEX}`, encodeMemory(mounts));
    return { mounts: mounts.map(({ path }) => path), bytes };
  }

  [Symbol.dispose](): void {
    for (const fd of this.#fds) fd[Symbol.dispose]();
  }
}

/** A device as {@linkcode lookAt} names it. */
function numberOf(device: string): number {
  const [major, minor] = device.split(":").map(Number);
  return major! * 2 ** 20 + minor!;
}

function changed(path: string): LifecycleError {
  return new LifecycleError(
    `Cannot checkpoint it: what is mounted at "${path}" was changed meanwhile; try it again`,
  );
}
