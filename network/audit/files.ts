/** The files of an audit log: the one that is written, older ones, and what is known of the chain beside them. */

import { isMissing } from "../../ffi/look.ts";
import { type Link, START } from "./chain.ts";

/** How many full files are kept. */
export const OLDER = 3;

/** What the head file says. */
export interface Head extends Link {
  /** The link before the first record that is kept: older ones made room. */
  readonly before: Link;
}

/** Beside a log: the last sequence and hash, so that a log that was cut off shows. */
export function headPath(path: string): string {
  return `${path}.head`;
}

/** A part of a log that is full; 1 is the youngest. */
export function olderPath(path: string, age: number): string {
  return `${path}.${age}`;
}

/** The files of a log that are there, the oldest first. */
export function partsOf(path: string): string[] {
  const older = Array.from({ length: OLDER }, (_, index) => olderPath(path, OLDER - index));
  // One may be missing where a move from one to the next was broken off.
  return [...older, path].filter(exists);
}

/**
 * Reads the head file.
 *
 * @throws {SyntaxError} if it is none
 */
export function readHead(path: string): Head | undefined {
  if (isMissing(headPath(path))) return undefined;
  let text: string;
  try {
    text = Deno.readTextFileSync(headPath(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  const { sequence, hash, before = START } = JSON.parse(text);
  if (!isLink({ sequence, hash }) || !isLink(before)) {
    throw new SyntaxError(`Cannot read "${headPath(path)}": it is damaged; move the log and it away`);
  }
  return { sequence, hash, before };
}

/** Writes the head file: all of it, or the old one stays. */
export function writeHead(path: string, head: Head): void {
  const temporary = `${headPath(path)}.new`;
  Deno.writeTextFileSync(temporary, `${JSON.stringify(head)}\n`, { mode: 0o600 });
  Deno.renameSync(temporary, headPath(path));
}

function isLink({ sequence, hash }: Link): boolean {
  return Number.isSafeInteger(sequence) && sequence >= 0 && /^[0-9a-f]{64}$/.test(String(hash));
}

function exists(path: string): boolean {
  if (isMissing(path)) return false; // of a new log most are
  try {
    return Deno.lstatSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
