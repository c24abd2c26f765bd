import {
  awaitNoReader,
  makeFifoAt,
  openDirectory,
  openFifoAt,
  putFileAt,
  readFifoAt,
  readFileAt,
  removeAt,
  tryLock,
  writeFileAt,
} from "../../ffi/directory.ts";
import { SyscallError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { connect, listenAt, writeAll } from "../../ffi/socket.ts";
import { placeAt, placeOf } from "../../ffi/look.ts";
import { LifecycleError, UsageError } from "../errors.ts";
import type { Spec } from "../spec/config.ts";
import { exactJson } from "../spec/exact_json.ts";
import { checkId, isId } from "./container_id.ts";
import { runDirectory } from "./run_directory.ts";
import { decodeRecord, encodeRecord, type Record, unreadable } from "./record.ts";

/** Below the directory of the user; the stub of the executable knows that root's is `/run`. */
const DIRECTORY = "ai-sandbox/containers";
const [RECORD, SPEC, STARTS] = ["record.json", "config.json", "starts"];
const [MOVES, EXECS, FLAGGED] = ["moves", "execs", "flagged"];
/** What is known of a container, in the files of its directory: the steps of running further programs go by it. */
export const KEPT_BY: readonly string[] = [RECORD, SPEC];
/** The fifo at which the first process waits. */
export const GATE = "exec.fifo";
/** The files that are made with a container. */
export const NAMES = { record: RECORD, spec: SPEC, moves: MOVES, gate: GATE } as const;
/** All that is in the directory of a container, in the order in which it is removed: the record last. */
export const FILES: readonly string[] = [
  MOVES,
  `${MOVES}.new`,
  EXECS,
  `${EXECS}.new`,
  FLAGGED,
  `${FLAGGED}.new`,
  GATE,
  STARTS,
  SPEC,
  `${SPEC}.new`,
  `${RECORD}.new`,
  RECORD,
];
const [ENOENT, EISDIR] = [2, 21];
/** What a first process says of its failure. */
const MESSAGE_BYTES = 16;
const MAX_RECORD_BYTES = 8 << 20;
/** How long a command waits for another one on the same container. */
const [LOCK_MS, PAUSE_MS] = [20_000, 5];
/** After this long another one is not only busy but waits for something. */
const STUCK_MS = 1_000;

/** Where records are kept unless somebody says otherwise. */
export function defaultRoot(): string {
  const base = runDirectory();
  if (base) return `${base}/${DIRECTORY}`;
  throw new UsageError("Cannot keep containers: XDG_RUNTIME_DIR is not set; name a directory by --root");
}

/** A start gate that was opened. */
export interface GateOpened extends Disposable {
  /** Whether nobody waits at it any more, which is waited for. */
  readonly passed: (timeoutMs: number) => boolean;
  /** Why who waited there did not become the program, as an errno; nothing if it did, or could not tell. */
  readonly failure: () => number | undefined;
}

/** The directory of one container, held open and, if it is to be changed, locked. */
export class Entry implements Disposable {
  readonly id: string;
  readonly path: string;
  readonly #directory: Fd;

  constructor(id: string, path: string, directory: Fd) {
    this.id = id;
    this.path = path;
    this.#directory = directory;
  }

  /** What is known of it; nothing if nobody wrote that down. @throws {LifecycleError} if nobody can go by it. */
  read(): Record | undefined {
    const file = `${this.path}/${RECORD}`;
    let text: string | undefined;
    try {
      text = readFileAt(this.#directory, RECORD, MAX_RECORD_BYTES);
    } catch (error) {
      throw unreadable(file, error instanceof Error ? error.message : String(error));
    }
    return text === undefined ? undefined : decodeRecord(text, file, this.id);
  }

  /** Writes down what is known of it: when this returns, it is on the disk. Moves that knew something else are removed. */
  write(record: Omit<Record, "version">): void {
    removeAt(this.#directory, MOVES);
    removeAt(this.#directory, EXECS);
    removeAt(this.#directory, FLAGGED);
    writeFileAt(this.#directory, RECORD, encodeRecord(record));
  }

  /** Keeps the config.json that the container is made from: what becomes of the bundle's later does not matter. */
  writeSpec(spec: Spec): void {
    this.writeSpecText(exactJson(spec));
  }

  /** The same of one whose text is there. */
  writeSpecText(text: string): void {
    removeAt(this.#directory, EXECS);
    removeAt(this.#directory, FLAGGED);
    writeFileAt(this.#directory, SPEC, text);
  }

  /** The text of the config.json that the container was made from. @throws {LifecycleError} if it is missing. */
  readSpec(): string {
    const file = `${this.path}/${SPEC}`;
    try {
      const text = readFileAt(this.#directory, SPEC, MAX_RECORD_BYTES);
      if (text !== undefined) return text;
    } catch (error) {
      throw unreadable(file, error instanceof Error ? error.message : String(error));
    }
    throw unreadable(file, "it is missing");
  }

  /** Keeps the steps of its moves. After a power cut they may be missing: then the record is gone by. */
  writeMoves(table: Uint8Array<ArrayBuffer>): void {
    putFileAt(this.#directory, MOVES, table);
  }

  /** Keeps the steps of running further programs, by a command line with flags or without, until something else is known. */
  writeExecs(table: Uint8Array<ArrayBuffer>, flagged: boolean): void {
    putFileAt(this.#directory, flagged ? FLAGGED : EXECS, table);
  }

  /** A new start gate, which the caller can both read and open. */
  makeGate(): Fd {
    return makeFifoAt(this.#directory, GATE);
  }

  /** Whether somebody waits at the start gate. */
  get isGateShut(): boolean {
    using gate = openFifoAt(this.#directory, GATE);
    return gate !== undefined;
  }

  /** Opens the start gate; what waits until who waited there has become the program, nothing if nobody waits. */
  openGate(): GateOpened | undefined {
    using stack = new DisposableStack();
    const gate = openFifoAt(this.#directory, GATE);
    if (!gate) return undefined;
    stack.use(gate);
    writeAll(gate, new Uint8Array(1), "the start gate");
    const kept = stack.move();
    return {
      passed: (timeoutMs) => awaitNoReader(gate, timeoutMs),
      failure: () => {
        const left = readFifoAt(this.#directory, GATE, MESSAGE_BYTES);
        if (left.length < MESSAGE_BYTES) return undefined;
        return Number(new BigUint64Array(left.buffer)[1]);
      },
      [Symbol.dispose]: () => kept.dispose(),
    };
  }

  /** A socket at which whoever starts the container calls; it is for init. */
  makeStarts(): Fd {
    removeAt(this.#directory, STARTS);
    return listenAt(this.#starts);
  }

  /** A connection to init, which takes it when the gate is open. @throws {SyscallError} if nobody waits there. */
  callInit(): Fd {
    return connect(this.#starts, { messages: true });
  }

  /** A directory for the socket at which the program says that it is ready. */
  makeNotify(): string {
    const path = `${this.path}/notify`;
    Deno.mkdirSync(path, { mode: 0o755, recursive: true }); // one that was killed may have left it
    return path;
  }

  /** Whether there is such a directory. */
  get hasNotify(): boolean {
    try {
      return Deno.lstatSync(this.notifyPath).isDirectory;
    } catch {
      return false;
    }
  }

  /** Where that directory is; short enough for a socket. */
  get notifyPath(): string {
    return `/proc/self/fd/${this.#directory.raw}/notify`;
  }

  /** Short enough for a socket, however deep the directory lies. */
  get #starts(): string {
    return `/proc/self/fd/${this.#directory.raw}/${STARTS}`;
  }

  /** Inode and device of the start gate, if it is there. */
  get gate(): { readonly inode: bigint; readonly device: string } | undefined {
    try {
      return placeAt(`/proc/self/fd/${this.#directory.raw}/${GATE}`);
    } catch (error) {
      if (error instanceof SyscallError && error.errno === ENOENT) return undefined;
      throw error;
    }
  }

  /** What no other directory has as long as this one is there. */
  get identity(): string {
    const { inode, device } = placeOf(this.#directory);
    return `${device}:${inode}`;
  }

  /** The record as it is, whatever is wrong with it; empty if it cannot be read. */
  get remains(): string {
    try {
      return readFileAt(this.#directory, RECORD, MAX_RECORD_BYTES) ?? "";
    } catch {
      return "";
    }
  }

  /** Takes the lock; false if another command has it. */
  tryLock(): boolean {
    return tryLock(this.#directory);
  }

  /** Whether the path still leads here. */
  get isCurrent(): boolean {
    try {
      return placeAt(this.path).inode === placeOf(this.#directory).inode;
    } catch (error) {
      if (error instanceof SyscallError && error.errno === ENOENT) return false;
      throw error;
    }
  }

  /** Removes it. The record goes last but for the directory: until then all can be done again. */
  remove(): void {
    for (const name of FILES) {
      try {
        removeAt(this.#directory, name);
      } catch (error) {
        if (!(error instanceof SyscallError) || error.errno !== EISDIR) throw error; // removed with the rest
      }
    }
    try {
      Deno.removeSync(this.path, { recursive: true }); // whatever else somebody put there; links are not followed
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#directory[Symbol.dispose]();
  }
}

/** Options of {@linkcode Store.lock}. */
export interface LockOptions {
  /** Called once if another command has it for long: takes away what that may wait for. */
  readonly free?: ((entry: Entry) => Promise<void>) | undefined;
  /** Whether it is the container that is asked for, and not another one of its name; that is none. */
  readonly isMeant?: ((entry: Entry) => boolean) | undefined;
}

/** All containers below one root directory. */
export class Store {
  constructor(readonly root: string = defaultRoot()) {}

  /** A container as it is now, without waiting for anybody; `undefined` if there is none. */
  find(id: string): Entry | undefined {
    checkId(id);
    const path = `${this.root}/${id}`;
    try {
      const directory = openDirectory(path);
      return directory && new Entry(id, path, directory);
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      throw unreadable(path, error.message);
    }
  }

  /**
   * A container that nobody else changes meanwhile; `undefined` if there is none.
   *
   * @throws {LifecycleError} if another command has it for too long.
   */
  async lock(id: string, { free, isMeant = () => true }: LockOptions = {}): Promise<Entry | undefined> {
    const began = performance.now();
    let isFreed = free === undefined;
    for (;;) {
      const entry = this.find(id);
      if (!entry) return undefined;
      // Before it is touched: whoever makes another one would find that locked.
      if (!isMeant(entry)) {
        entry[Symbol.dispose]();
        return undefined;
      }
      if (entry.tryLock()) {
        // Whoever had it before may have removed it.
        if (entry.isCurrent && isMeant(entry)) return entry;
      }
      using _entry = entry;
      const waitedMs = performance.now() - began;
      if (!isFreed && waitedMs > STUCK_MS) {
        isFreed = true;
        await free!(entry);
      }
      if (waitedMs > LOCK_MS) {
        throw new LifecycleError(
          `Cannot change container "${id}": another command has been at it for ${LOCK_MS} ms`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  /**
   * The directory of a new container, locked.
   *
   * @throws {LifecycleError} if there is a container of that name, or somebody is making one.
   */
  claim(id: string): Entry {
    checkId(id);
    Deno.mkdirSync(this.root, { recursive: true, mode: 0o700 });
    const path = `${this.root}/${id}`;
    try {
      Deno.mkdirSync(path, { mode: 0o711 });
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
    const entry = this.find(id);
    // A directory without a record is left by a command that was killed: nothing was begun yet.
    if (entry?.tryLock() && entry.isCurrent && entry.read() === undefined) return entry;
    entry?.[Symbol.dispose]();
    throw new LifecycleError("container with given ID already exists");
  }

  /** Removes what is no directory where that of a container should be: a link, not what it leads to. */
  discard(id: string): void {
    checkId(id);
    Deno.removeSync(`${this.root}/${id}`);
  }

  /** The names of all containers, sorted. */
  list(): string[] {
    try {
      return [...Deno.readDirSync(this.root)].map(({ name }) => name).filter(isId).sort();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }
}
