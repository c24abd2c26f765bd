/** Floods of alike entries, as few. */

import type { AuditEntry } from "./record.ts";

/** How long entries that are alike are counted together. */
export const FOLD_MS = 10_000;

/** How many of a kind are written one by one in that time: each transfer has its own bytes and status. */
const SINGLE = 1;
const SINGLE_TRANSFERS = 64;
/** How many different entries are told apart in that time; a program can ask for as many names as it likes. */
const MOST_KEYS = 1000;

interface Window {
  readonly endMs: number;
  single: number;
  /** What was not written: the last of them, with the sums of all. */
  folded: AuditEntry | undefined;
}

/** Decides which entries are written at once and which are counted. */
export class Folder {
  readonly #windows = new Map<string, Window>();
  readonly #foldMs: number;
  /** When the next window ends that has something in it. */
  #nextMs: number | undefined;

  constructor(foldMs: number = FOLD_MS) {
    this.#foldMs = foldMs;
  }

  /** The entry, if it is to be written now; nothing if it is counted. */
  take(entry: AuditEntry, nowMs: number): AuditEntry | undefined {
    let key = keyOf(entry);
    const full = !this.#windows.has(key) && this.#windows.size >= MOST_KEYS;
    if (full) key = coarseKeyOf(entry);
    let window = this.#windows.get(key);
    if (!window) {
      this.#windows.set(key, window = { endMs: nowMs + this.#foldMs, single: 0, folded: undefined });
    }
    if (window.single < singleOf(entry)) {
      window.single++;
      return entry;
    }
    window.folded = sum(window.folded, full ? withoutDetails(entry) : entry);
    this.#nextMs = Math.min(this.#nextMs ?? Infinity, window.endMs);
    return undefined;
  }

  /** What was counted in windows that have ended, or in all. */
  *due(nowMs: number): Iterable<AuditEntry> {
    let isFound = false;
    // They end in the order in which they began, unless the clock was turned back: that is no harm.
    for (const [key, { endMs, folded }] of this.#windows) {
      if (endMs > nowMs) break;
      this.#windows.delete(key);
      if (!folded) continue;
      isFound = true;
      yield folded;
    }
    if (isFound) this.#nextMs = this.#earliest();
  }

  /** When the next window ends that has something in it. */
  get nextMs(): number | undefined {
    return this.#nextMs;
  }

  #earliest(): number | undefined {
    for (const { endMs, folded } of this.#windows.values()) if (folded) return endMs;
    return undefined;
  }
}

function singleOf({ kind, verdict }: AuditEntry): number {
  return verdict === "allow" && (kind === "connect" || kind === "request") ? SINGLE_TRANSFERS : SINGLE;
}

function keyOf(entry: AuditEntry): string {
  const { sandbox, kind, verdict, rule, name, address, port, protocol, method, path } = entry;
  return JSON.stringify([sandbox, kind, verdict, rule, name, address, port, protocol, method, path]);
}

function coarseKeyOf({ sandbox, kind, verdict, rule }: AuditEntry): string {
  return JSON.stringify([sandbox, kind, verdict, rule]);
}

function withoutDetails(
  { sandbox, kind, verdict, rule, count, uploadBytes, downloadBytes }: AuditEntry,
): AuditEntry {
  const sums = Object.entries({ count, uploadBytes, downloadBytes }).filter(([, value]) =>
    value !== undefined
  );
  const reason = "more that differ in name, address, port or path";
  return { sandbox, kind, verdict, rule, reason, ...Object.fromEntries(sums) };
}

function sum(before: AuditEntry | undefined, entry: AuditEntry): AuditEntry {
  const count = (before?.count ?? 0) + (entry.count ?? 1);
  const bytes = (["uploadBytes", "downloadBytes"] as const).flatMap((key) =>
    before?.[key] === undefined && entry[key] === undefined
      ? []
      : [[key, (before?.[key] ?? 0) + (entry[key] ?? 0)]]
  );
  return { ...entry, ...Object.fromEntries(bytes), count };
}
