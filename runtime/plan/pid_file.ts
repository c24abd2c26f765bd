/**
 * The file that gets the pid of a program, written without Deno: whoever waits for it never finds a part of it. It has no name
 * until it is whole, so that a command that is killed leaves none behind.
 */

import { type Arch, O, O_DIRECTORY } from "./abi.ts";
import { AT, AT_FDCWD } from "./kernel.ts";
import { type Bytes, flags, mark, named, type Op, op, slot, text, zeros } from "./op.ts";

/** The most bytes that a path has. */
const MOST_PATH = 4000;
/** Digits of a pid, behind each other in words of eight bytes. */
const DIGIT_BYTES = 16;
const [SLASH, TOP_BYTE] = [47n << 56n, 1n << 56n];
const DIRECTORY = zeros(4096, "directory.pid");
const TMPFILE = 0o20000000;

/** Finds the directory of the file, for slot `pid:directory`: its path is copied through the start gate, behind which nobody is yet. */
export function* findPidDirectory(): Iterable<Op> {
  const does = "find the directory of the pid file";
  yield op(does, "let", [slot("pidFile")], { into: "cursor" });
  yield op(does, "let", [MOST_PATH], { into: "room" });
  yield op(does, "let", [0], { into: "length" });
  yield op(does, "let", [{ inside: text(".\0"), offset: 0 }], { into: "pid:directory" });
  yield op(does, "load", [slot("cursor"), 0], { label: "pid:scan", into: "word" });
  yield op(does, "let", [0, slot("word"), TOP_BYTE], { zero: "pid:scanned" });
  yield op(does, "let", [slot("cursor"), 1, 1], { into: "cursor" });
  yield op(does, "let", [-SLASH, slot("word"), TOP_BYTE], { positive: "pid:letter" });
  yield op(does, "let", [slot("cursor"), slot("pidFile"), -1], { into: "length" });
  yield op(does, "let", [slot("room"), -1, 1], {
    label: "pid:letter",
    into: "room",
    zero: "fail",
    positive: "pid:scan",
  });
  yield op(does, "let", [slot("length")], { label: "pid:scanned", zero: "pid:found" });
  yield op(does, "write", [slot("gate:write"), slot("pidFile"), slot("length")]);
  yield op(does, "read", [slot("gate:read"), DIRECTORY, slot("length")], { into: "count" });
  yield op(does, "let", [slot("count"), slot("length"), -1], { zero: "pid:whole path", positive: "fail" });
  yield op(does, "let", [{ inside: DIRECTORY, offset: 0 }], {
    label: "pid:whole path",
    into: "pid:directory",
  });
  yield mark("pid:found");
}

/** Writes the pid of slot `program`. */
export function* writePidFile(arch: Arch): Iterable<Op> {
  const does = "write the pid";
  const digits: Bytes = zeros(DIGIT_BYTES + 8, "pid");
  const end = { inside: digits, offset: DIGIT_BYTES };
  yield op(does, "decimal", [slot("program"), end]);
  yield op(does, "let", [{ inside: digits, offset: 0 }], { into: "cursor" });
  yield op(does, "load", [slot("cursor"), 0], { label: "pid:next", into: "word" });
  yield op(does, "let", [0, slot("word"), TOP_BYTE], { positive: "pid:first" });
  yield op(does, "let", [slot("cursor"), 1, 1], { into: "cursor", positive: "pid:next" });
  yield op(does, "let", [end, slot("cursor"), -1], { label: "pid:first", into: "length" });
  // File systems that know no file without a name are left to Deno.
  const how = flags("O_", { TMPFILE: TMPFILE | O_DIRECTORY[arch], WRONLY: O.WRONLY, CLOEXEC: O.CLOEXEC });
  yield op(does, "openat", [AT_FDCWD, slot("pid:directory"), how, named("0666", 0o666)], { into: "file" });
  yield op(does, "write", [slot("file"), slot("cursor"), slot("length")], { into: "count" });
  yield op(does, "let", [slot("count"), slot("length"), -1], { zero: "pid:whole", positive: "fail" });
  yield op("let nothing be there", "unlinkat", [AT_FDCWD, slot("pidFile"), 0], {
    label: "pid:whole",
    ignore: ["ENOENT"],
    ignored: "pid:free",
  });
  const emptyPath = flags("AT_", { EMPTY_PATH: AT.EMPTY_PATH });
  yield op("name the file", "linkat", [slot("file"), "", AT_FDCWD, slot("pidFile"), emptyPath], {
    label: "pid:free",
  });
  yield op(does, "close", [slot("file")]);
  yield op(does, "let", [-1], { into: "file" });
}
