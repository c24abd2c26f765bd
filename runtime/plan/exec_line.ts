/**
 * The flags of `exec` that can be given again without Deno: as they stood on a command line, and as steps that look whether they
 * stand so on another one.
 */

import { O } from "./abi.ts";
import { AT_FDCWD } from "./kernel.ts";
import { type Arg, type Bytes, flags, mark, type Op, op, slot, zeros } from "./op.ts";
import { hasSize } from "./unaided.ts";

/** What may be another one each time: the file of a process, and the file that gets the pid. */
export type LinePart = "process" | "pidFile";
/** One word of a command line: what it must be, or what it is the path of. */
export type LineWord = string | LinePath;
/** A path of a command line. */
export interface LinePath {
  /** What it is the path of. */
  readonly path: LinePart;
}

/** Flags without a value, with one, and with a path: the stub of the executable knows them too. */
const ALONE: readonly string[] = ["--detach", "-d"];
const VALUED: readonly string[] = ["--env", "-e", "--cwd", "--user", "-u"];
const PATHS: Readonly<Record<string, LinePart>> = {
  "--process": "process",
  "-p": "process",
  "--pid-file": "pidFile",
};
const MOST_WORDS = 64;
const [WORD_BYTES, TOP_BYTE, DASH] = [8, 56n, 45n];
const O_NONBLOCK = 0o4000;

/** The words before the id of a container, if each is understood without Deno; else nothing. */
export function readLine(words: readonly string[]): LineWord[] | undefined {
  const line: LineWord[] = [];
  const seen = new Set<LinePart>();
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    line.push(word);
    if (ALONE.includes(word)) continue;
    const [name, value] = word.split(/=(.*)/s) as [string, string | undefined];
    if (VALUED.includes(name) && value !== undefined) continue;
    const next = words[++index];
    if (next === undefined || next === "") return undefined;
    const path = PATHS[word];
    if (path && !seen.has(path)) line.push({ path });
    else if (VALUED.includes(word)) line.push(next);
    else return undefined;
    if (path) seen.add(path);
  }
  return line.length === 0 || line.length > MOST_WORDS ? undefined : line;
}

/**
 * Looks whether the words from that of slot `words` on are these, then `id`. Paths go to slots of their names.
 *
 * @param rest Whether a program's words must follow, to whose begin slot `words` is moved; else nothing may.
 */
export function* compareLine(line: readonly LineWord[], id: string, rest: boolean): Iterable<Op> {
  const does = "find the flags as they were";
  for (const [index, word] of [...line, id].entries()) {
    yield* nextWord(does);
    if (typeof word === "string") yield* isWord(does, word, `flag:${index}`);
    else {
      yield op(does, "let", [slot("word")], { into: word.path });
      yield* isNoFlag(does, `path:${index}`);
    }
  }
  const program = "find the words of the program";
  if (!rest) {
    yield op(program, "load", [slot("words"), 0], { zero: "line:same", positive: "fail" });
    return yield mark("line:same");
  }
  yield* nextWord(program);
  yield* isNoFlag(program, "program");
  yield op(program, "let", [slot("words"), -WORD_BYTES, 1], { into: "words" });
}

/** The pointer to a word, which must be there, to slot `word`. */
function* nextWord(does: string): Iterable<Op> {
  yield op(does, "load", [slot("words"), 0], { into: "word", zero: "fail" });
  yield op(does, "let", [slot("words"), WORD_BYTES, 1], { into: "words" });
}

/** Compares the text at slot `word`, eight bytes at a time: behind every word there is more on the stack. */
export function* isWord(does: string, word: string, name: string): Iterable<Op> {
  const bytes = new TextEncoder().encode(`${word}\0`);
  for (let at = 0; at < bytes.length; at += WORD_BYTES) {
    const part = new Uint8Array(WORD_BYTES);
    part.set(bytes.subarray(at, at + WORD_BYTES));
    const expected = new DataView(part.buffer).getBigUint64(0, true);
    // What is multiplied by a power of two has no bytes left but the first, which are all that is compared.
    const missing = BigInt(8 * Math.max(0, at + WORD_BYTES - bytes.length));
    yield op(does, "load", [slot("word"), at, 1], { into: "part" });
    yield op(does, "let", [signed(-(expected << missing)), slot("part"), signed(1n << missing)], {
      zero: `${name}:${at}`,
      positive: "fail",
    });
    yield mark(`${name}:${at}`);
  }
}

/** The word at slot `word` must not be empty, nor a flag. */
function* isNoFlag(does: string, name: string): Iterable<Op> {
  yield op(does, "load", [slot("word"), 0], { into: "part" });
  const first = signed(1n << TOP_BYTE);
  yield op(does, "let", [0, slot("part"), first], { zero: "fail" });
  yield op(does, "let", [-(DASH << TOP_BYTE), slot("part"), first], { zero: "fail", positive: name });
  yield mark(name);
}

function signed(value: bigint): bigint {
  return BigInt.asIntN(64, value);
}

/** Looks whether the file at slot `process` has this content. */
export function* compareDocument(document: Uint8Array): Iterable<Op> {
  const does = "find the process as it was";
  const room = Math.ceil((document.length + 1) / WORD_BYTES) * WORD_BYTES;
  const padded = new Uint8Array(room);
  padded.set(document);
  const expected: Bytes = { bytes: padded, shows: `<${document.length} bytes>` };
  const found = zeros(room, "content");
  yield* hasSize(does, slot("process"), document.length);
  // A fifo that has taken its place by now must not keep us waiting.
  const how = flags("O_", { NONBLOCK: O_NONBLOCK, CLOEXEC: O.CLOEXEC });
  yield op(does, "openat", [AT_FDCWD, slot("process"), how, 0], { into: "file" });
  yield op(does, "read", [slot("file"), found, room], { into: "count" });
  yield op(does, "close", [slot("file")]);
  yield* sameBytes(does, "process", { found, expected, sizeBytes: document.length });
}

/**
 * Looks whether what was read is what was expected; both have room for a whole number of words.
 *
 * @param name The begin of its labels.
 * @param what Both, and the size of what was expected; slot `count` has that of what was read.
 */
export function* sameBytes(
  does: string,
  name: string,
  { found, expected, sizeBytes }: {
    readonly found: Bytes;
    readonly expected: Bytes;
    readonly sizeBytes: number;
  },
): Iterable<Op> {
  yield op(does, "let", [slot("count"), -sizeBytes, 1], { zero: `${name}:read`, positive: "fail" });
  yield op(does, "let", [0], { label: `${name}:read`, into: "at" });
  yield op(does, "let", [expected.bytes.length / WORD_BYTES], { into: "room" });
  const there = (inside: Bytes): readonly Arg[] => [{ inside, offset: 0 }, slot("at"), 1];
  yield op(does, "load", there(expected), { label: `${name}:next`, into: "word" });
  yield op(does, "load", there(found), { into: "part" });
  yield op(does, "let", [slot("word"), slot("part"), -1], { zero: `${name}:same`, positive: "fail" });
  yield op(does, "let", [slot("at"), WORD_BYTES, 1], { label: `${name}:same`, into: "at" });
  yield op(does, "let", [slot("room"), -1, 1], {
    into: "room",
    zero: `${name}:whole`,
    positive: `${name}:next`,
  });
  yield mark(`${name}:whole`);
}
