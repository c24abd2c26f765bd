/** The file that gets the pid of a program, written without Deno: whoever waits for it never finds a part of it. */

import { O } from "./abi.ts";
import { AT_FDCWD } from "./kernel.ts";
import { type Bytes, flags, jump, mark, named, type Op, op, slot, text, zeros } from "./op.ts";
import { digits, digitsOf } from "./texts.ts";

/** The most bytes that a path has; and what is added to it, with the command's own pid, until the file is whole. */
const [MOST_PATH, NEW] = [4000, "."];
/** Digits of a pid, behind each other in words of eight bytes. */
const DIGIT_BYTES = 16;
const TEMPORARY = zeros(4096, "path.pid");

/**
 * Makes the path of the file that is renamed when it is whole: through the start gate, behind which nobody is yet. What a
 * killed command has left there is in nobody's way: the next one has another pid.
 */
export function* namePidFile(): Iterable<Op> {
  const does = "name the file of the pid";
  yield op(does, "let", [slot("pidFile")], { into: "cursor" });
  yield op(does, "let", [MOST_PATH], { into: "room" });
  yield op(does, "load", [slot("cursor"), 0], { label: "pid:scan", into: "word" });
  yield op(does, "let", [0, slot("word"), 1n << 56n], { zero: "pid:scanned" });
  yield op(does, "let", [slot("cursor"), 1, 1], { into: "cursor" });
  yield op(does, "let", [slot("room"), -1, 1], { into: "room", zero: "fail", positive: "pid:scan" });
  yield op(does, "let", [slot("cursor"), slot("pidFile"), -1], { label: "pid:scanned", into: "length" });
  yield op(does, "write", [slot("gate:write"), slot("pidFile"), slot("length")]);
  yield op(does, "write", [slot("gate:write"), text(NEW), NEW.length]);
  yield op(does, "getpid", [], { into: "own" });
  yield* digitsOf("own");
  yield op(does, "write", [slot("gate:write"), ...digits("own")]);
  yield op(does, "let", [slot("length"), slot("own:length"), 1], { into: "length" });
  yield op(does, "let", [slot("length"), NEW.length, 1], { into: "length" });
  yield op(does, "read", [slot("gate:read"), TEMPORARY, slot("length")], { into: "count" });
  yield op(does, "let", [slot("count"), slot("length"), -1], { zero: "pid:named", positive: "fail" });
  yield mark("pid:named");
}

/** Writes the pid of slot `program`. */
export function* writePidFile(): Iterable<Op> {
  const does = "write the pid";
  const digits: Bytes = zeros(DIGIT_BYTES + 8, "pid");
  const end = { inside: digits, offset: DIGIT_BYTES };
  yield op(does, "decimal", [slot("program"), end]);
  yield op(does, "let", [{ inside: digits, offset: 0 }], { into: "cursor" });
  yield op(does, "load", [slot("cursor"), 0], { label: "pid:next", into: "word" });
  yield op(does, "let", [0, slot("word"), 1n << 56n], { positive: "pid:first" });
  yield op(does, "let", [slot("cursor"), 1, 1], { into: "cursor", positive: "pid:next" });
  yield op(does, "let", [end, slot("cursor"), -1], { label: "pid:first", into: "length" });
  const how = flags("O_", { WRONLY: O.WRONLY, CREAT: O.CREAT, EXCL: O.EXCL, CLOEXEC: O.CLOEXEC });
  yield op(does, "openat", [AT_FDCWD, TEMPORARY, how, named("0666", 0o666)], { into: "file" });
  const rest = { failed: "pid:undo" };
  yield op(does, "write", [slot("file"), slot("cursor"), slot("length")], { ...rest, into: "count" });
  yield op(does, "let", [slot("count"), slot("length"), -1], { zero: "pid:whole", positive: "pid:undo" });
  yield op(does, "close", [slot("file")], { ...rest, label: "pid:whole" });
  yield op(does, "let", [-1], { into: "file" });
  yield op(does, "renameat2", [AT_FDCWD, TEMPORARY, AT_FDCWD, slot("pidFile"), 0], rest);
  yield jump("pid:written");
  yield op("remove what was written", "unlinkat", [AT_FDCWD, TEMPORARY, 0], { label: "pid:undo" });
  yield jump("fail");
  yield mark("pid:written");
}
