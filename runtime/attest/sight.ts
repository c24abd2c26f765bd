import type { Fd } from "../../ffi/fd.ts";
import {
  openInside,
  openPath,
  type Place,
  placeAt,
  placeOf,
  readLinkAt,
  readTextAt,
} from "../../ffi/look.ts";
import type { Links } from "./compare.ts";
import type { Paths } from "./compare_mounts.ts";
import type { Process, Source } from "./facts.ts";
import { type MountLine, parseMountinfo } from "./parse.ts";

/** What mountinfo may have at most. */
const MOST_BYTES = 8 << 20;
const READ_BYTES = 64 << 10;

/** The directory of a process in /proc: each file is read once. */
class Files implements Process, Disposable {
  readonly #directory: Fd;
  readonly #texts = new Map<string, string>();

  constructor(readonly path: string, readonly buffer: Uint8Array<ArrayBuffer>) {
    this.#directory = openPath(path);
  }

  text(file: string): string {
    let text = this.#texts.get(file);
    if (text === undefined) {
      text = readTextAt(this.#directory, file, { buffer: this.buffer, mostBytes: MOST_BYTES });
      this.#texts.set(file, text);
    }
    return text;
  }

  link(name: string): string {
    return readLinkAt(this.#directory, name, this.buffer);
  }

  names(directory: string): string[] {
    return Array.from(Deno.readDirSync(`${this.path}/${directory}`), ({ name }) => name);
  }

  [Symbol.dispose](): void {
    this.#directory[Symbol.dispose]();
  }
}

/** Init and this process, as the kernel shows them now. */
export class Sight implements Source, Paths, Links, Disposable {
  readonly #path: string;
  readonly #init: Files;
  readonly ours: Files;
  #root: Fd | undefined;

  constructor(pid: number) {
    const buffer = new Uint8Array(READ_BYTES);
    using stack = new DisposableStack();
    this.#path = `/proc/${pid}`;
    this.#init = stack.use(new Files(this.#path, buffer));
    this.ours = stack.use(new Files("/proc/self", buffer));
    stack.move();
  }

  text(file: string): string {
    return this.#init.text(file);
  }

  link(name: string): string {
    return this.#init.link(name);
  }

  names(directory: string): string[] {
    return this.#init.names(directory);
  }

  lookup(path: string): Place | undefined {
    this.#root ??= openPath(`${this.#path}/root`);
    using found = openInside(this.#root, path);
    return found && placeOf(found);
  }

  cwd(): Place {
    return placeAt(`${this.#path}/cwd`);
  }

  host(path: string): Place {
    return placeAt(path);
  }

  realPath(path: string): string {
    return Deno.realPathSync(path);
  }

  get hostMounts(): MountLine[] {
    return parseMountinfo(this.ours.text("mountinfo"));
  }

  namespaceAt(path: string, type: string): string {
    const link = { mount: "mnt", network: "net" }[type] ?? type;
    return `${link}:[${placeAt(path).inode}]`;
  }

  [Symbol.dispose](): void {
    this.#init[Symbol.dispose]();
    this.ours[Symbol.dispose]();
    this.#root?.[Symbol.dispose]();
  }
}
