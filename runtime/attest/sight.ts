import type { Fd } from "../../ffi/fd.ts";
import {
  namesAt,
  openInside,
  openPath,
  openPathAt,
  type Place,
  placeAt,
  placeIn,
  placeOf,
  readLinkAt,
  readTextAt,
} from "../../ffi/look.ts";
import { type Stopping, stopping } from "../../ffi/trace.ts";
import type { Links } from "./compare.ts";
import type { Paths } from "./compare_mounts.ts";
import type { Process, Source } from "./facts.ts";
import { type MountLine, parseMountinfo, parseStatus, type Status } from "./parse.ts";

/** What mountinfo may have at most. */
const MOST_BYTES = 8 << 20;
/** What calls write to: made once, it costs more than to read a file. */
const BUFFER = new Uint8Array(64 << 10);
/** The files that the kernel writes in one piece: what one read brings is all. */
const WHOLE = ["status", "limits", "cgroup", "setgroups", "oom_score_adj", "personality"];
const [S_IFMT, S_IFLNK] = [0o170000, 0o120000];

/** The directory of a process in /proc: each file is read once. */
class Files implements Process, Disposable {
  readonly #directory: Fd;
  readonly #texts = new Map<string, string>();
  readonly #names = new Map<string, readonly string[]>();
  #status: Status | undefined;

  constructor(path: string) {
    this.#directory = openPath(path);
  }

  text(file: string): string {
    let text = this.#texts.get(file);
    if (text === undefined) {
      const whole = WHOLE.includes(file) || file.startsWith("fdinfo/");
      text = readTextAt(this.#directory, file, { buffer: BUFFER, mostBytes: MOST_BYTES, whole });
      this.#texts.set(file, text);
    }
    return text;
  }

  /** Whether the text of a file can be read. */
  has(file: string): boolean {
    try {
      return this.text(file) !== "";
    } catch {
      return false; // who needs it hears why
    }
  }

  get status(): Status {
    return this.#status ??= parseStatus(this.text("status"));
  }

  link(name: string): string {
    return readLinkAt(this.#directory, name, BUFFER);
  }

  names(directory: string): readonly string[] {
    let names = this.#names.get(directory);
    if (names === undefined) {
      this.#names.set(directory, names = namesAt(this.#directory, directory, BUFFER));
    }
    return names;
  }

  /** What a link leads to. */
  place(name: string): Place {
    return placeAt(name, this.#directory);
  }

  /** What a link leads to, by its descriptor. */
  open(name: string): Fd {
    return openPathAt(this.#directory, name);
  }

  [Symbol.dispose](): void {
    this.#directory[Symbol.dispose]();
  }
}

/** This process, whose namespaces nobody changes: they are looked at once. */
class Ours extends Files {
  static readonly #links = new Map<string, string>();

  constructor() {
    super("/proc/self");
  }

  override link(name: string): string {
    let link = name.startsWith("ns/") ? Ours.#links.get(name) : undefined;
    if (link === undefined) Ours.#links.set(name, link = super.link(name));
    return link;
  }
}

/** Init and this process, as the kernel shows them now. */
export class Sight implements Source, Paths, Links, Disposable {
  readonly #init: Files;
  readonly ours: Files;
  #root: Fd | undefined;
  /** The directories that something was looked up in; `undefined` where there is none. */
  readonly #directories = new Map<string, Fd | undefined>();
  readonly #opened: DisposableStack;
  readonly #reports: ReadonlyMap<string, Uint8Array>;
  #stopping: Stopping | undefined;
  #filters: readonly Uint8Array[] | undefined;
  #hostMounts: readonly MountLine[] | undefined;

  constructor(
    readonly pid: number,
    { reports = new Map(), filters = false }: {
      readonly reports?: ReadonlyMap<string, Uint8Array> | undefined;
      /** Whether it will be asked for the filters: init can stop for that while the rest is looked at. */
      readonly filters?: boolean;
    } = {},
  ) {
    using stack = new DisposableStack();
    this.#reports = reports;
    this.#init = stack.use(new Files(`/proc/${pid}`));
    this.ours = stack.use(new Ours());
    this.#opened = stack.move();
    if (filters && this.#init.has("status")) this.#stop(); // who traces it is in there: from here on, this process
  }

  #stop(): Stopping {
    return this.#stopping ??= this.#opened.use(stopping(this.pid));
  }

  text(file: string): string {
    return this.#init.text(file);
  }

  get status(): Status {
    return this.#init.status;
  }

  link(name: string): string {
    return this.#init.link(name);
  }

  names(directory: string): readonly string[] {
    return this.#init.names(directory);
  }

  /** Many lie in the same few directories: one call for each, unless a link has to be followed. */
  lookup(path: string): Place | undefined {
    if (path === "/") return placeOf(this.#rootFd);
    const slash = path.lastIndexOf("/");
    const name = path.slice(slash + 1);
    if (slash < 0 || name === "" || name === "." || name === "..") return this.#resolve(path);
    const directory = slash === 0 ? this.#rootFd : this.#directory(path.slice(0, slash));
    const found = directory && placeIn(directory, name);
    return found && (found.mode & S_IFMT) === S_IFLNK ? this.#resolve(path) : found;
  }

  #directory(path: string): Fd | undefined {
    if (this.#directories.has(path)) return this.#directories.get(path);
    const opened = openInside(this.#rootFd, path);
    if (opened) this.#opened.use(opened);
    this.#directories.set(path, opened);
    return opened;
  }

  #resolve(path: string): Place | undefined {
    using found = openInside(this.#rootFd, path);
    return found && placeOf(found);
  }

  get #rootFd(): Fd {
    return this.#root ??= this.#opened.use(this.#init.open("root"));
  }

  report(name: string): Uint8Array {
    const found = this.#reports.get(name);
    if (!found) throw new Error(`init does not report ${name}`);
    return found;
  }

  get filters(): readonly Uint8Array[] | undefined {
    return this.#filters ??= this.#stop().filters();
  }

  cwd(): Place {
    return this.#init.place("cwd");
  }

  host(path: string): Place {
    return placeAt(path);
  }

  realPath(path: string): string {
    return Deno.realPathSync(path);
  }

  get hostMounts(): readonly MountLine[] {
    return this.#hostMounts ??= parseMountinfo(this.ours.text("mountinfo"));
  }

  namespaceAt(path: string, type: string): string {
    const link = { mount: "mnt", network: "net" }[type] ?? type;
    return `${link}:[${placeAt(path).inode}]`;
  }

  [Symbol.dispose](): void {
    this.#opened.dispose();
  }
}
