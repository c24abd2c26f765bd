/** The lines of an audit log, each with the hash of the one before. */

import { createHash } from "node:crypto";
import { AUDIT_KINDS, type AuditEntry, type AuditRecord } from "./record.ts";

/** Where a chain is: the last record and its hash. */
export interface Link {
  readonly sequence: number;
  readonly hash: string;
}

/** Before the first record. */
export const START: Link = { sequence: 0, hash: "0".repeat(64) };

/** The longest line of a log, in bytes. */
export const MAX_LINE_BYTES = 32_768;

/** How many characters of a property are kept: a hostile program chooses some. */
const MOST: Partial<Record<keyof AuditEntry, number>> = { path: 1024, reason: 512 };
const MOST_OF_OTHERS = 256;

/** The line of a record without its line end, and where the chain is with it. */
export function lineAfter(last: Link, entry: AuditEntry, time: string): { line: string; link: Link } {
  const sequence = last.sequence + 1;
  const body = JSON.stringify({ sequence, time, ...kept(entry), previous: last.hash });
  const hash = hashOf(body);
  return { line: `${body.slice(0, -1)},"hash":"${hash}"}`, link: { sequence, hash } };
}

/** A record, or nothing if the line is none or its hash is wrong. */
export function readLine(line: string): AuditRecord | undefined {
  const [, body = "", hash] = /^(.*),"hash":"([0-9a-f]{64})"\}$/s.exec(line) ?? [];
  if (hash === undefined || hashOf(`${body}}`) !== hash) return;
  try {
    const record = JSON.parse(line);
    return Number.isSafeInteger(record.sequence) && AUDIT_KINDS.includes(record.kind) ? record : undefined;
  } catch {
    return;
  }
}

/** What of an entry is written: short texts, and of a path nothing behind its question mark. */
function kept(entry: AuditEntry): AuditEntry {
  return Object.fromEntries(
    Object.entries(entry).flatMap(([key, value]) => {
      if (value === undefined) return [];
      if (typeof value !== "string") return [[key, value]];
      const text = key === "path" ? value.split("?", 1)[0]! : value;
      const most = MOST[key as keyof AuditEntry] ?? MOST_OF_OTHERS;
      return [[key, (text.length > most ? `${text.slice(0, most)}…` : text).toWellFormed()]];
    }),
  ) as unknown as AuditEntry;
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
