import { accept, listenIn } from "../../ffi/accept.ts";
import { check } from "../../ffi/errno.ts";
import { duplicate, Fd, open, pipe } from "../../ffi/fd.ts";
import { libc } from "../../ffi/libc.ts";
import { openPidFd, reap, spawn } from "../../ffi/process.ts";
import { receive } from "../../ffi/socket.ts";
import { LifecycleError } from "../../runtime/errors.ts";
import { EPOLLIN, reactor, type Watch } from "../../runtime/launch/reactor.ts";
import { nameProcess } from "../../runtime/state/liveness.ts";
import type { ProcessName } from "../../runtime/state/record.ts";
import type { Entry } from "../../runtime/state/store.ts";
import type { Pages } from "./pages.ts";
import { PAGERS } from "./fetch.ts";
import { threadsOf } from "./threads.ts";

/** Where CRIU looks for whoever brings pages in, in its work directory. */
const SOCKET = "lazy-pages.socket";
/** In the directory of a container: why it was ended, if its pager was lost. */
const LOST = "memory.lost";
const PID_BYTES = 4;
/** Above all numbers that a pager is to find its descriptors at. */
const FREE_FD = 64;
const O_APPEND_CREATE = 1 | 0o100 | 0o2000; // O_WRONLY | O_CREAT | O_APPEND

interface Connection {
  readonly socket: Fd;
  readonly watch: Watch;
  /** The process whose userfaultfd comes next. */
  pid?: number;
}

/** What CRIU has said of one process, as far as it has. */
interface Told {
  readonly pid: number;
  readonly uffd: Fd;
}

/** Starts a pager for each process that CRIU restores and hands over. */
export class Pagers implements Disposable {
  readonly #parts = new DisposableStack();
  readonly #pages: Pages;
  readonly #entry: Entry;
  readonly #listener: Fd;
  readonly #watch: Watch;
  readonly #connections: Connection[] = [];
  readonly #early: Told[] = [];
  readonly #started: {
    readonly pid: number;
    readonly child: number;
    readonly ready: Fd;
    readonly uffd: Fd;
  }[] = [];
  #init: Fd | undefined;
  #initPid = 0;
  #error: unknown;

  /** @param workDir That of CRIU. */
  constructor(pages: Pages, entry: Entry, workDir: Fd) {
    this.#pages = pages;
    this.#entry = entry;
    const path = `/proc/self/fd/${workDir.raw}/${SOCKET}`;
    remove(path); // of one that was killed
    this.#listener = this.#parts.use(listenIn(workDir, SOCKET));
    this.#parts.defer(() => remove(path));
    this.#watch = this.#watched(this.#listener);
  }

  /** The first process of the container is there: when it ends, its pagers do. */
  begin(init: number): void {
    if (this.#init) return;
    this.#init = this.#parts.use(openPidFd(init));
    this.#initPid = init;
  }

  /**
   * Waits for all pagers. Nothing of the container may run before, and nobody may look at its memory.
   *
   * @throws {LifecycleError} if one is missing.
   */
  settle(): void {
    this.#pump();
    if (this.#error !== undefined) throw this.#error;
    const pagers: ProcessName[] = [];
    for (const { child, ready, uffd } of this.#started) {
      const word = new BigUint64Array(1);
      const bytes = new Uint8Array(word.buffer);
      const count = check(libc.read(ready.raw, bytes, 8n), "hear of a pager");
      reap(child, true);
      if (count !== bytes.length) throw missing("one has failed to begin");
      pagers.push(nameProcess(Number(word[0])));
      uffd[Symbol.dispose]();
    }
    const served = new Set(this.#started.map(({ pid }) => pid));
    for (const pid of this.#pages.pids) {
      if (!served.has(pid)) throw missing(`CRIU has not handed over process ${pid}`);
    }
    Deno.writeTextFileSync(`${this.#entry.path}/${PAGERS}`, JSON.stringify(pagers));
  }

  #watched(fd: Fd): Watch {
    return reactor.watch(fd, EPOLLIN, () => {
      try {
        this.#pump();
      } catch (error) {
        this.#error ??= error; // it is said when all are waited for
        this.#rest();
      }
    });
  }

  /** Takes whatever has come. */
  #pump(): void {
    for (let socket = accept(this.#listener); socket; socket = accept(this.#listener)) {
      this.#connections.push({ socket: this.#parts.use(socket), watch: this.#watched(socket) });
    }
    for (const connection of this.#connections) {
      for (let told = next(connection); told; told = next(connection)) this.#early.push(told);
    }
    if (!this.#init) return;
    for (const told of this.#early.splice(0)) this.#start(told);
  }

  #start({ pid, uffd }: Told): void {
    this.#parts.use(uffd);
    const program = this.#pages.pagerOf(pid);
    if (!program) throw missing(`there are no pages of process ${pid}`);
    const { read, write } = pipe();
    this.#parts.use(read);
    using given = new DisposableStack();
    given.use(write);
    const report = given.use(open(`${this.#entry.path}/${LOST}`, O_APPEND_CREATE, 0o600));
    // What is no directory of threads a pager takes for several.
    const tasks = given.adopt(threadsOf(this.#initPid, pid), (each) => each?.[Symbol.dispose]()) ??
      this.#pages.low;
    const fds = [uffd, this.#pages.file, this.#init!, this.#pages.low, report, write, tasks];
    const high = fds.map(({ raw }) => given.use(duplicate(raw, FREE_FD)).raw);
    const child = spawn(`/proc/self/fd/${program.raw}`, "ai-sandbox-pager", high);
    this.#started.push({ pid, child, ready: read, uffd });
  }

  #rest(): void {
    this.#watch[Symbol.dispose]();
    for (const { watch } of this.#connections) watch[Symbol.dispose]();
  }

  /** CRIU has ended, or is about to. */
  [Symbol.dispose](): void {
    this.#rest();
    this.#parts.dispose();
  }
}

/** The next process of a connection: its number, negative for one that has ended, and then its userfaultfd. */
function next(connection: Connection): Told | undefined {
  for (;;) {
    const message = receive(connection.socket, connection.pid === undefined ? PID_BYTES : 1);
    if (message === "end") connection.watch[Symbol.dispose]();
    if (typeof message === "string") return undefined;
    if (connection.pid !== undefined) {
      if (!message.fd) throw missing("CRIU has handed over nothing");
      const told = { pid: connection.pid, uffd: message.fd };
      delete connection.pid;
      return told;
    }
    if (message.bytes.length !== PID_BYTES) throw missing("CRIU talks otherwise");
    const pid = new DataView(message.bytes.buffer).getInt32(0, true);
    if (pid > 0 && pid < 1 << 22) connection.pid = pid; // else one that has ended, or that all is done
  }
}

function missing(why: string): LifecycleError {
  return new LifecycleError(`Cannot bring its memory in later: ${why}; leave out --lazy`);
}

function remove(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
