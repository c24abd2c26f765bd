/** The log of a sandbox's attempts, while it is written. */

import { MAX_LINE_BYTES, readLine } from "./chain.ts";
import { OLDER, olderPath } from "./files.ts";
import type { AuditRecord } from "./record.ts";

/** Options of {@linkcode followAudit}. */
export interface FollowOptions {
  /** Ends it. */
  readonly signal?: AbortSignal;
  /** Whether what is there already is left out. */
  readonly onlyNew?: boolean;
}

/** How often it is looked for new lines. */
const LOOK_MS = 100;

/**
 * Gives the records of a log, and each that comes, also when a file is full and another one goes on.
 *
 * A log that is not there yet is waited for.
 */
export async function* followAudit(path: string, options: FollowOptions = {}): AsyncIterable<AuditRecord> {
  const { signal, onlyNew = false } = options;
  let reader = onlyNew ? openReader(path) : undefined;
  reader?.skip();
  try {
    while (true) {
      const ended = signal?.aborted ?? false;
      if (!reader) {
        reader = openReader(path);
        if (reader) yield* olderRecords(path, undefined, reader.inode);
      }
      if (reader) {
        yield* reader.records();
        const next = openReader(path);
        if (next && next.inode !== reader.inode) {
          // Between the two looks the last lines may have been written; it may be more than one file on.
          yield* reader.records();
          yield* olderRecords(path, reader.inode);
          reader[Symbol.dispose]();
          reader = next;
          continue;
        }
        next?.[Symbol.dispose]();
      }
      if (ended) return;
      await sleep(LOOK_MS, signal);
    }
  } finally {
    reader?.[Symbol.dispose]();
  }
}

/** The records of the older files that are younger than the one that was read, or of all. */
function* olderRecords(
  path: string,
  inode: number | null | undefined,
  except?: number | null,
): Iterable<AuditRecord> {
  using stack = new DisposableStack();
  const younger: Reader[] = [];
  for (let age = 1; age <= OLDER; age++) {
    const reader = openReader(olderPath(path, age));
    if (!reader) continue;
    stack.use(reader);
    // Without it, what was read has made room already.
    if (reader.inode === inode) break;
    if (reader.inode === except) continue;
    younger.unshift(reader);
  }
  for (const reader of younger) yield* reader.records();
}

function openReader(path: string): Reader | undefined {
  try {
    return new Reader(Deno.openSync(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
}

class Reader implements Disposable {
  readonly inode: number | null;
  readonly #file: Deno.FsFile;
  readonly #decoder = new TextDecoder();
  #rest = "";

  constructor(file: Deno.FsFile) {
    this.#file = file;
    this.inode = file.statSync().ino;
  }

  skip(): void {
    this.#file.seekSync(0, Deno.SeekMode.End);
  }

  *records(): Iterable<AuditRecord> {
    const buffer = new Uint8Array(65_536);
    for (let count = this.#file.readSync(buffer); count; count = this.#file.readSync(buffer)) {
      const lines = (this.#rest + this.#decoder.decode(buffer.subarray(0, count), { stream: true })).split(
        "\n",
      );
      this.#rest = lines.pop()!.slice(-MAX_LINE_BYTES);
      for (const line of lines) {
        const record = readLine(line);
        if (record) yield record;
      }
    }
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

function sleep(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  const wake = (): void => resolve();
  signal?.addEventListener("abort", wake, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", wake);
  });
}
