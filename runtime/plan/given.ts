/**
 * The words of a program that are known only when it runs: whoever makes its image for the last time, without Deno, puts
 * them behind all that the plan has there, as `argv` of execve(2), and as the paths where a name may be found.
 */

import { type Arg, type Bytes, jump, mark, named, type Op, op, slot, text } from "./op.ts";

/** Where they lie in the image: far behind its data. */
export const GIVEN_ADDRESS = 0x500000;
/** How much room there is. */
export const GIVEN_BYTES = 0x10000;
/** The parts: whether the program is named by a path, the pointers to its words, the paths to try, and the words. */
const [IS_PATH, POINTERS, CANDIDATES, WORDS] = [0, 0x1000, 0x2000, 0x8000];
const [POINTER_BYTES, MOST_WORDS] = [8, 511];
/** Room for a path, and behind it for the same as that of a directory. */
const [PLACE_BYTES, MOST_NAME, MOST_PATH] = [0x200, 255, 24];
const [SLASH, TOP_BYTE] = [47n << 56n, 1n << 56n];
const ONE: Bytes = { bytes: new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]), shows: "1" };

/** The pointers to the words, ended by NULL. */
export const GIVEN_ARGS = named("given words", GIVEN_ADDRESS + POINTERS);
/** The first word, which is a path where {@linkcode IS_GIVEN_PATH} says so. */
export const GIVEN_PATH = named("given path", GIVEN_ADDRESS + WORDS);
/** Where it lies whether the first word is a path, as opposed to a name that is looked for: 1 or 0. */
export const IS_GIVEN_PATH = named("whether a path was given", GIVEN_ADDRESS + IS_PATH);

/** Where the name is looked for in the directory of this number: the path, and what is there only if that is a directory. */
export function givenCandidate(index: number): readonly [path: Arg, asDirectory: Arg] {
  const [path, asDirectory] = placesOf(index);
  const at = (place: number, shows: string): Arg => named(shows, GIVEN_ADDRESS + place);
  return [at(path, `given path ${index}`), at(asDirectory, `given path ${index}/.`)];
}

function placesOf(index: number): readonly [path: number, asDirectory: number] {
  const first = CANDIDATES + 2 * index * PLACE_BYTES;
  return [first, first + PLACE_BYTES];
}

/** Whether there is room for what a name that is looked for in these directories makes of them. */
export function fitsGiven(directories: readonly string[]): boolean {
  const most = PLACE_BYTES - MOST_NAME - "//.\0".length;
  const size = (text: string): number => new TextEncoder().encode(text).length;
  return directories.length <= MOST_PATH && directories.every((each) => size(each) <= most);
}

/**
 * Puts the words into the image of slot `image`, which can neither grow nor shrink any more. Slot `words` is the address
 * of the pointers to them, which the kernel has made: the strings follow each other, and the environment follows them
 * (proc_pid_cmdline(5)).
 *
 * @param at Where in the file what is given begins.
 * @param directories What is searched for a name without a slash, each ending in a slash.
 */
export function* giveWords(at: number, directories: readonly string[]): Iterable<Op> {
  yield op("take the first word", "load", [slot("words"), 0], { into: "first" });
  yield* givePointers(at);
  const does = "measure the words";
  yield op(does, "load", [slot("cursor"), 8, 1], { into: "last", zero: "fail" }); // there is no environment
  yield op(does, "let", [slot("last"), slot("first"), -1], { into: "length" });
  yield* put("the words", slot("first"), slot("length"), at + WORDS);
  yield* scan();
  yield op("say that it is a path", "pwrite64", [slot("image"), ONE, ONE.bytes.length, at + IS_PATH], {
    label: "path",
  });
  yield jump("given");
  yield op("measure the name", "let", [slot("cursor"), slot("first"), -1], { label: "name", into: "length" });
  yield op("measure the name", "let", [slot("length"), 1, 1], { into: "whole length" });
  const begins = beginsOf(directories);
  yield* put("where to look", begins, begins.bytes.length, at + CANDIDATES);
  for (const [index, directory] of directories.entries()) {
    const size = text(directory).bytes.length;
    const [path, asDirectory] = placesOf(index);
    const name = `the program's path ${index}`;
    yield* put(name, slot("first"), slot("whole length"), at + path + size);
    yield* put(`${name}/`, slot("first"), slot("length"), at + asDirectory + size);
    yield op(`end ${name}/.`, "let", [at + asDirectory + size, slot("length"), 1], { into: "end" });
    yield* put(`${name}/.`, text("/."), 2, slot("end"));
  }
  yield mark("given");
}

/** What all paths begin with, each in its place. */
function beginsOf(directories: readonly string[]): Bytes {
  const bytes = new Uint8Array(2 * directories.length * PLACE_BYTES);
  for (const [index, directory] of directories.entries()) {
    for (const place of placesOf(index)) bytes.set(text(directory).bytes, place - CANDIDATES);
  }
  return { bytes, shows: JSON.stringify(directories) };
}

/** Slot `cursor` ends at the NULL behind the words. */
function* givePointers(at: number): Iterable<Op> {
  const does = "point to the words";
  yield op(does, "let", [GIVEN_ADDRESS + WORDS, slot("first"), -1], { into: "shift" });
  yield op(does, "let", [slot("words")], { into: "cursor" });
  yield op(does, "let", [at + POINTERS], { into: "place" });
  yield op(does, "let", [MOST_WORDS], { into: "room" });
  yield op(does, "load", [slot("cursor"), 0], { label: "pointer", into: "word", zero: "pointed" });
  yield op(does, "let", [slot("word"), slot("shift"), 1], { into: "word" });
  yield* put("a pointer", { address: "word" }, POINTER_BYTES, slot("place"));
  yield op(does, "let", [slot("place"), POINTER_BYTES, 1], { into: "place" });
  yield op(does, "let", [slot("cursor"), POINTER_BYTES, 1], { into: "cursor" });
  yield op(does, "let", [slot("room"), -1, 1], { into: "room", zero: "fail", positive: "pointer" });
  yield mark("pointed");
}

/** Looks for a slash in the first word: goes on with `path` or `name`, slot `cursor` being its end. */
function* scan(): Iterable<Op> {
  const does = "look for a slash";
  yield op(does, "let", [slot("first")], { into: "cursor" });
  yield op(does, "let", [MOST_NAME + 1], { into: "room" });
  yield op(does, "load", [slot("cursor"), 0], { label: "scan", into: "word" });
  // What is multiplied by 2^56 has no byte left but the first.
  yield op(does, "let", [0, slot("word"), TOP_BYTE], { zero: "name" });
  yield op(does, "let", [-SLASH, slot("word"), TOP_BYTE], { zero: "path" });
  yield op(does, "let", [slot("cursor"), 1, 1], { into: "cursor" });
  yield op(does, "let", [slot("room"), -1, 1], { into: "room", zero: "fail", positive: "scan" });
}

/** Writes all of it to the image, or leaves; no other has this name. */
function* put(name: string, what: Arg, size: Arg, at: Arg): Iterable<Op> {
  yield op(`give ${name}`, "pwrite64", [slot("image"), what, size, at], { into: "written" });
  yield op(`give ${name}`, "let", [slot("written"), size, -1], { zero: `given:${name}`, positive: "fail" });
  yield mark(`given:${name}`);
}
