/** Texts that steps write to files, with holes that are filled when it is known by what. */

import { type Arch, O, O_NOFOLLOW } from "./abi.ts";
import { type Arg, type Bytes, flags, mark, named, type Op, op, slot, zeros } from "./op.ts";

/** A text with holes: where each begins, by the name of what goes there. */
export interface Holed {
  readonly bytes: Uint8Array;
  readonly holes: Readonly<Record<string, readonly number[]>>;
}

/** What fills a hole: where it lies, and its size. */
export type Filling = readonly [what: Arg, sizeBytes: Arg];

const DIGIT_BYTES = 24;
const TOP_BYTE = 1n << 56n;

/** Begins a new file of this name in the directory of slot `entry`, at slot `file`. */
export function openNew(does: string, name: string, arch: Arch, failed?: string): Op {
  const parts = { WRONLY: O.WRONLY, CREAT: O.CREAT, EXCL: O.EXCL, NOFOLLOW: O_NOFOLLOW[arch] };
  const how = flags("O_", { ...parts, CLOEXEC: O.CLOEXEC });
  return op(does, "openat", [slot("entry"), name, how, named("0600", 0o600)], {
    into: "file",
    ...(failed !== undefined && { failed }),
  });
}

/** Writes bytes to slot `file`, all of them or it fails. */
export function* putAll(does: string, name: string, bytes: Bytes, failed = "fail"): Iterable<Op> {
  const size = bytes.bytes.length;
  yield op(does, "write", [slot("file"), bytes, size], { into: "count", failed });
  yield op(does, "let", [slot("count"), -size, 1], { zero: `${name}:put`, positive: failed });
  yield mark(`${name}:put`);
}

/** Writes to slot `file` from `at` on, all of it or it fails. */
export function* putAt(
  does: string,
  name: string,
  at: Arg,
  [what, size]: Filling,
  failed = "fail",
): Iterable<Op> {
  yield op(does, "pwrite64", [slot("file"), what, size, at], { into: "count", failed });
  yield op(does, "let", [slot("count"), size, -1], { zero: `${name}:put`, positive: failed });
  yield mark(`${name}:put`);
}

/** Writes a text to slot `file`, which is empty, and fills its holes. */
export function* putHoled(
  does: string,
  name: string,
  { bytes, holes }: Holed,
  fillings: Readonly<Record<string, Filling>>,
  failed = "fail",
): Iterable<Op> {
  yield* putAll(does, name, { bytes, shows: `<${bytes.length} bytes>` }, failed);
  for (const [what, places] of Object.entries(holes)) {
    const filling = fillings[what];
    if (!filling) continue;
    for (const at of places) yield* putAt(does, `${name}:${at}`, at, filling, failed);
  }
}

/**
 * What was written to slot `file` takes the place of the file of this name, when it is on the disk.
 *
 * @param named Whether the name is on the disk, too, when this is done: else it is with that of the next file.
 */
export function* finishNew(does: string, temporary: string, name: string, named: boolean): Iterable<Op> {
  yield op(does, "fsync", [slot("file")]);
  yield op(does, "renameat2", [slot("entry"), temporary, slot("entry"), name, 0]);
  yield op(does, "close", [slot("file")]);
  yield op(does, "let", [-1], { into: "file" });
  if (named) yield op(does, "fsync", [slot("entry")]);
}

/** The digits of the slot: they lie from slot `<name>:at` on, and are as many as `<name>:length` says. */
export function* digitsOf(name: string): Iterable<Op> {
  const does = `spell ${name}`;
  const room = zeros(DIGIT_BYTES + 8, "digits");
  const end = { inside: room, offset: DIGIT_BYTES };
  yield op(does, "decimal", [slot(name), end]);
  yield op(does, "let", [{ inside: room, offset: 0 }], { into: `${name}:at` });
  yield op(does, "load", [slot(`${name}:at`), 0], { label: `${name}:scan`, into: "word" });
  yield op(does, "let", [0, slot("word"), TOP_BYTE], { positive: `${name}:first` });
  yield op(does, "let", [slot(`${name}:at`), 1, 1], { into: `${name}:at`, positive: `${name}:scan` });
  yield op(does, "let", [end, slot(`${name}:at`), -1], {
    label: `${name}:first`,
    into: `${name}:length`,
  });
}

/** Those digits, as what fills a hole. */
export function digits(name: string): Filling {
  return [slot(`${name}:at`), slot(`${name}:length`)];
}
