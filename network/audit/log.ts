/** The log of a sandbox's attempts, as it is written. */

import { lineAfter, type Link, MAX_LINE_BYTES, readLine, START } from "./chain.ts";
import { type Head, OLDER, olderPath, partsOf, readHead, writeHead } from "./files.ts";
import { Folder } from "./fold.ts";
import type { AuditEntry } from "./record.ts";

/** Options of {@linkcode AuditLog.open}. */
export interface AuditLogOptions {
  /** When a file is full; four of them are kept. @default 16 MiB */
  readonly maxBytes?: number;
  /** How long entries that are alike are counted together. @default 10,000 */
  readonly foldMs?: number;
}

const MAX_BYTES = 16 * 1024 * 1024;
/** How old the head file may be. */
const HEAD_MS = 100;

/**
 * An open audit log. Only one process has it open; each record is handed to the kernel before {@linkcode append} returns.
 */
export class AuditLog implements Disposable {
  readonly #path: string;
  readonly #maxBytes: number;
  readonly #folder: Folder;
  #file: Deno.FsFile;
  #bytes: number;
  #last: Link;
  #before: Link;
  #headAtMs = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerMs = Infinity;
  #unwritten: AuditEntry[] = [];
  /** Whether the last record could not be written: then none is only counted. */
  #isFailing = false;
  #isClosed = false;

  private constructor(path: string, file: Deno.FsFile, { maxBytes = MAX_BYTES, foldMs }: AuditLogOptions) {
    this.#path = path;
    this.#file = file;
    this.#maxBytes = maxBytes;
    this.#folder = new Folder(foldMs);
    const head = readHead(path);
    const parts = partsOf(path);
    const cutBytes = cutPartialLine(file, path);
    const end = parts.reduceRight<Link | "damaged" | undefined>(
      (found, part) => found ?? lastLink(part),
      undefined,
    );
    if (end === "damaged" && !head) {
      throw new Error(`Cannot go on with "${path}": its last line is no record; move the log away`);
    }
    this.#before = head?.before ?? START;
    this.#last = continued(head, end);
    this.#bytes = file.statSync().size;
    if (cutBytes > 0) {
      const reason = `${cutBytes} bytes of a record that was not written to its end were cut off`;
      const sandbox = path.replace(/^.*\//, "").replace(/\.jsonl$/, "");
      this.#write({ sandbox, kind: "proxy", verdict: "allow", rule: "builtin:audit", reason });
    }
    this.#writeHead();
  }

  /**
   * Opens a log, or makes it: its file is for its owner only. A last line that was not written to its end is cut off,
   * and a record says so.
   *
   * @throws {Error} If it cannot be opened, or another process has it open.
   */
  static open(path: string, options: AuditLogOptions = {}): AuditLog {
    const file = openFile(path);
    try {
      return new AuditLog(path, file, options);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /**
   * Writes an entry down, or counts it if it is one of a flood.
   *
   * @throws {Error} If it, or one before it, cannot be written: nothing may pass then.
   */
  append(entry: AuditEntry): void {
    if (this.#isClosed) throw new Error(`Cannot write to "${this.#path}": the log is closed`);
    const nowMs = Date.now();
    this.#flush(nowMs);
    const single = this.#isFailing ? entry : this.#folder.take(entry, nowMs);
    if (single) this.#write(single);
    if (nowMs - this.#headAtMs >= HEAD_MS) this.#writeHead();
    this.#wakeLater(nowMs);
  }

  /** Writes what was counted, and closes the log. */
  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    try {
      this.#flush(Infinity);
      this.#writeHead();
    } finally {
      this.#file.close();
    }
  }

  #flush(nowMs: number): void {
    this.#unwritten.push(...this.#folder.due(nowMs));
    for (let entry = this.#unwritten[0]; entry; entry = this.#unwritten[0]) {
      this.#write(entry);
      this.#unwritten.shift();
    }
  }

  #write(entry: AuditEntry): void {
    const { line, link } = lineAfter(this.#last, entry, new Date().toISOString());
    const bytes = new TextEncoder().encode(`${line}\n`);
    if (bytes.length > MAX_LINE_BYTES) throw new Error(`Cannot write a record of ${bytes.length} bytes`);
    this.#isFailing = true;
    if (this.#bytes > 0 && this.#bytes + bytes.length > this.#maxBytes) this.#rotate();
    let written = 0;
    try {
      while (written < bytes.length) written += this.#file.writeSync(bytes.subarray(written));
    } catch (cause) {
      // Half a line would make one of it and the next.
      this.#file.truncateSync(this.#bytes);
      throw new Error(`Cannot write to "${this.#path}": ${cause instanceof Error ? cause.message : cause}`, {
        cause,
      });
    }
    this.#bytes += written;
    this.#last = link;
    this.#isFailing = false;
  }

  /** The file becomes the youngest of the older ones; the oldest makes room, after the head says so. */
  #rotate(): void {
    const [path, oldest] = [this.#path, olderPath(this.#path, OLDER)];
    const parts = partsOf(path);
    if (parts.includes(oldest)) {
      this.#before = linkBefore(parts[parts.indexOf(oldest) + 1]!) ?? this.#before;
      this.#writeHead();
      Deno.removeSync(oldest);
    }
    for (let age = OLDER - 1; age >= 1; age--) {
      if (parts.includes(olderPath(path, age))) {
        Deno.renameSync(olderPath(path, age), olderPath(path, age + 1));
      }
    }
    Deno.renameSync(path, olderPath(path, 1));
    const file = openFile(path);
    this.#file.close();
    this.#file = file;
    this.#bytes = 0;
  }

  #writeHead(): void {
    // Whoever removes the file must not get records that nobody can read.
    const [there, open] = [Deno.statSync(this.#path), this.#file.statSync()];
    if (there.ino !== open.ino || there.dev !== open.dev) {
      throw new Error(`Cannot write to "${this.#path}": another file is in its place`);
    }
    const head: Head = { ...this.#last, before: this.#before };
    writeHead(this.#path, head);
    this.#headAtMs = Date.now();
  }

  /** Sees to it that what was counted is written, and the head is true, when nothing more comes. */
  #wakeLater(nowMs: number): void {
    const atMs = Math.min(this.#folder.nextMs ?? Infinity, nowMs + HEAD_MS);
    if (this.#timer !== undefined && this.#timerMs <= atMs) return;
    clearTimeout(this.#timer);
    this.#wakeAt(atMs, Math.max(0, atMs - nowMs));
  }

  #wake(): void {
    this.#timer = undefined;
    const nowMs = Date.now();
    try {
      this.#flush(nowMs);
      this.#writeHead();
    } catch {
      // It is tried again by the next append, which throws what it meets.
    }
    const nextMs = this.#folder.nextMs;
    if (nextMs !== undefined) this.#wakeAt(nextMs, Math.max(HEAD_MS, nextMs - nowMs));
  }

  #wakeAt(atMs: number, delayMs: number): void {
    const timer = setTimeout(() => this.#wake(), delayMs);
    Deno.unrefTimer(timer);
    [this.#timer, this.#timerMs] = [timer, atMs];
  }
}

function openFile(path: string): Deno.FsFile {
  const file = Deno.openSync(path, { read: true, append: true, create: true, mode: 0o600 });
  try {
    if (!file.statSync().isFile) throw new Error(`Cannot write to "${path}": it is no regular file`);
    if (!file.tryLockSync(true)) throw new Error(`Cannot open "${path}": another process writes to it`);
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Cuts off what is behind the last line end, and says how many bytes that were. */
function cutPartialLine(file: Deno.FsFile, path: string): number {
  const { size } = file.statSync();
  if (size === 0) return 0;
  const tail = tailOf(path, size);
  const partial = tail.length - (tail.lastIndexOf(10) + 1);
  if (partial > 0) file.truncateSync(size - partial);
  return partial;
}

/** Where a chain goes on. What the head knows and the files have lost stays missing, for everybody to see. */
function continued(head: Head | undefined, end: Link | "damaged" | undefined): Link {
  if (!head) return end === undefined || end === "damaged" ? START : end;
  if (end === undefined || end === "damaged" || end.sequence < head.sequence) return head;
  return end.sequence === head.sequence ? head : end;
}

/** Where the chain is at the end of a file; nothing if it is empty. */
function lastLink(path: string): Link | "damaged" | undefined {
  const { size } = Deno.statSync(path);
  if (size === 0) return undefined;
  const lines = new TextDecoder().decode(tailOf(path, size)).split("\n");
  const line = lines.at(-2);
  if (line === undefined) return;
  const record = readLine(line);
  if (!record) {
    throw new Error(`Cannot go on with "${path}": its last line is no record of it; move the log away`);
  }
  return { sequence: record.sequence, hash: record.hash };
}

/** Where the chain was before a file began. */
function linkBefore(path: string): Link | undefined {
  using file = Deno.openSync(path);
  const buffer = new Uint8Array(MAX_LINE_BYTES);
  const text = new TextDecoder().decode(buffer.subarray(0, file.readSync(buffer) ?? 0));
  const record = readLine(text.split("\n", 1)[0]!);
  return record && { sequence: record.sequence - 1, hash: record.previous };
}

function tailOf(path: string, size: number): Uint8Array {
  using file = Deno.openSync(path);
  file.seekSync(Math.max(0, size - 2 * MAX_LINE_BYTES), Deno.SeekMode.Start);
  const buffer = new Uint8Array(2 * MAX_LINE_BYTES);
  let length = 0;
  for (let count = 1; count > 0; length += count) count = file.readSync(buffer.subarray(length)) ?? 0;
  return buffer.subarray(0, length);
}
