/** The log of a sandbox's attempts, as it is read. */

import { type Link, MAX_LINE_BYTES, readLine, START } from "./chain.ts";
import { type Head, partsOf, readHead } from "./files.ts";
import type { AuditRecord } from "./record.ts";

/** Whether a log is whole. */
export type AuditVerification =
  | {
    /** Nothing is missing or changed. */
    readonly whole: true;
    /** How many records there are. */
    readonly records: number;
    /** The last sequence. */
    readonly sequence: number;
  }
  | {
    /** Something is missing or changed. */
    readonly whole: false;
    /** The first sequence that is not what it should be. */
    readonly sequence: number;
    /** What is wrong there. */
    readonly reason: string;
  };

/**
 * Reads the records of a log, the oldest first; lines that are none are left out.
 *
 * @throws {Deno.errors.NotFound} If there is no such log.
 */
export async function* readAudit(path: string): AsyncIterable<AuditRecord> {
  for await (const line of linesOf(path)) {
    const record = readLine(line);
    if (record) yield record;
  }
}

/**
 * Compares each record of a log with the one before, and the last one with the head file.
 *
 * @throws {Deno.errors.NotFound} If there is no such log.
 */
export async function verifyAudit(path: string): Promise<AuditVerification> {
  let head: Head | undefined;
  try {
    head = readHead(path);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return broken(1, "the head file is damaged");
  }
  if (!head) return broken(1, "the head file is missing");
  let last: Link | undefined;
  let records = 0;
  for await (const line of linesOf(path)) {
    const record = readLine(line);
    const due = (last ?? head.before).sequence + 1;
    if (!record) return broken(due, "it is changed or damaged");
    // Files that are about to make room may still be there.
    last ??= record.sequence < due ? { sequence: record.sequence - 1, hash: record.previous } : head.before;
    const expected = last.sequence + 1;
    if (record.sequence > expected) return broken(expected, `it is missing: ${record.sequence} comes next`);
    if (record.sequence < expected) return broken(expected, `${record.sequence} comes in its place`);
    if (record.previous !== last.hash) return broken(expected, "it does not follow from the one before");
    const isKnown = record.sequence === head.sequence || record.sequence === head.before.sequence;
    const known = record.sequence === head.sequence ? head.hash : head.before.hash;
    if (isKnown && record.hash !== known) return broken(expected, "it is not the one that was written");
    last = { sequence: record.sequence, hash: record.hash };
    records++;
  }
  const end = last ?? head.before ?? START;
  if (end.sequence < head.sequence) {
    return broken(end.sequence + 1, `it is missing, with all up to ${head.sequence}`);
  }
  return { whole: true, records, sequence: end.sequence };
}

function broken(sequence: number, reason: string): AuditVerification {
  return { whole: false, sequence, reason };
}

/** The lines of all files of a log. What comes after the last line end is being written, or was never written whole. */
async function* linesOf(path: string): AsyncIterable<string> {
  const parts = partsOf(path);
  if (parts.length === 0) throw new Deno.errors.NotFound(`Cannot read "${path}": no such log`);
  for (const part of parts) {
    using file = await Deno.open(part);
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(65_536);
    let rest = "";
    for (let count = await file.read(buffer); count !== null; count = await file.read(buffer)) {
      const lines = (rest + decoder.decode(buffer.subarray(0, count), { stream: true })).split("\n");
      rest = lines.pop()!;
      yield* lines;
      // What is longer is no record: it is not collected.
      if (rest.length > MAX_LINE_BYTES) {
        yield "";
        return;
      }
    }
    if (rest !== "" && part !== path) yield rest;
  }
}
