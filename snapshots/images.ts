import { check } from "../ffi/errno.ts";
import { open } from "../ffi/fd.ts";
import { libc } from "../ffi/libc.ts";
import { resolve } from "@std/path";

/** A directory that images are written to before they are where they are wanted: they get there whole or not at all. */
export class Stage implements Disposable {
  readonly path: string;
  readonly #target: string;
  #isRenamed = false;

  /** @param target Where they are wanted; what lies there already stays. */
  constructor(target: string) {
    this.#target = resolve(target);
    const parent = this.#target.slice(0, this.#target.lastIndexOf("/")) || "/";
    Deno.mkdirSync(parent, { recursive: true, mode: 0o700 });
    // Beside the target, so that a relative path to a parent's images is right in both places.
    const name = this.#target.slice(this.#target.lastIndexOf("/") + 1);
    this.path = Deno.makeTempDirSync({ dir: parent, prefix: `.${name}.` });
  }

  /**
   * Puts everything in its place: when this returns, it would outlast a power cut.
   *
   * @param earlier Finds what of before goes unless it is there anew.
   */
  commit(last: string, earlier: (directory: string) => readonly string[] = () => []): void {
    const names = Array.from(Deno.readDirSync(this.path), ({ name }) => name);
    for (const name of names) sync(`${this.path}/${name}`);
    sync(this.path);
    if (isMissingOrEmpty(this.#target)) {
      Deno.renameSync(this.path, this.#target);
      this.#isRenamed = true;
    } else {
      for (const name of earlier(this.#target)) {
        if (!names.includes(name)) Deno.removeSync(`${this.#target}/${name}`);
      }
      for (const name of [...names.filter((each) => each !== last), last]) {
        Deno.renameSync(`${this.path}/${name}`, `${this.#target}/${name}`);
      }
      sync(this.#target);
    }
    sync(this.#target.slice(0, this.#target.lastIndexOf("/")) || "/");
  }

  /** Puts what was written since in its place too. */
  follow(): void {
    if (this.#isRenamed) return; // it is there
    for (const { name } of Array.from(Deno.readDirSync(this.path))) {
      Deno.renameSync(`${this.path}/${name}`, `${this.#target}/${name}`);
    }
  }

  /** Takes back what was put in its place, if there was nothing before. */
  revoke(): void {
    if (this.#isRenamed) Deno.removeSync(this.#target, { recursive: true });
  }

  [Symbol.dispose](): void {
    try {
      Deno.removeSync(this.path, { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** A directory for logs, made if it is missing. */
export function makeDirectory(path: string): string {
  const whole = resolve(path);
  Deno.mkdirSync(whole, { recursive: true, mode: 0o700 });
  return Deno.realPathSync(whole); // containerd names its own by a link
}

function isMissingOrEmpty(path: string): boolean {
  try {
    return Deno.readDirSync(path)[Symbol.iterator]().next().done === true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    throw error;
  }
}

function sync(path: string): void {
  using fd = open(path, 0);
  check(libc.fsync(fd.raw), "write", path);
}
