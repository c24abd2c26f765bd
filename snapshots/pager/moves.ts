import { CLONE_ARGS_BYTES, cloneArgs, SIGCHLD } from "../../runtime/plan/userns.ts";
import { O } from "../../runtime/plan/abi.ts";
import { type Bytes, flags, jump, mark, named, type Op, op, slot, zeros } from "../../runtime/plan/op.ts";
import { clear, ifNotParked } from "./parked.ts";
import {
  ENTRY_BYTES,
  ifBelow,
  ifEqual,
  KEEP,
  LAST_FD,
  LOW,
  LOW_END,
  MOST_OPEN,
  MOST_RECENT,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  NOTES,
  onErrno,
  PAGE_BYTES,
  run,
  SEEK_DATA,
  SEEK_SET,
  TASKS,
  UFFD,
} from "./words.ts";

/*
 * Who moves memory says so twice: what was moved where, and then that it has unmapped where it was. Threads say so one
 * after the other, but not always in the order in which they did it: another one may have moved something there before
 * the second word comes. So each second word is expected, and is nothing new.
 *
 * The same goes for what one thread unmaps or moves away, and another one moves something to at once. There the pager sees
 * that the place is not free yet, since it keeps places also of what has no pages: it parks the move until it hears that
 * it is (`parked.ts`). It cannot see so where memory has grown without a word; what is unmapped there across the edge of
 * something that came just now is left open, and ends the sandbox. Of a process with one thread nothing is open.
 */

/** Begin and end of what was moved, and is not said yet to be unmapped, for each thread that is at it. */
const OPEN: Bytes = zeros(16 * MOST_OPEN, "moves");
/** Begin and end of where something was moved by one of several threads since nobody was at it. */
const RECENT: Bytes = zeros(16 * MOST_RECENT, "recent moves");
const TASKS_BYTES = 256;
/** What getdents64(2) gives of a directory with one number of up to four digits, or more: itself, its parent, that. */
const ONE_TASK = [72, 80];

/** Stores two slots side by side where a third one points to: what no single step does. */
function* store(does: string, [first, second]: readonly [string, string], at: string): Iterable<Op> {
  yield run(does, "pwrite64", [NOTES, { address: first }, 8, 0]);
  yield run(does, "pwrite64", [NOTES, { address: second }, 8, 8]);
  yield run(does, "pread64", [NOTES, slot(at), 16, 0]);
}

/** Memory is unmapped or given back: it is nothing, or zeros, from now on. */
export function* onUnmap(message: Bytes): Iterable<Op> {
  const does = "forget what it has unmapped";
  yield op(does, "load", [{ inside: message, offset: 8 }], { into: "begin", label: "unmap" });
  yield op(does, "load", [{ inside: message, offset: 16 }], { into: "end" });
  yield op(does, "let", [0], { into: "is:move" });
  yield op(does, "let", [slot("open"), 0], { into: "left:open", zero: "check" });
  yield op(does, "let", [{ inside: OPEN, offset: 0 }], { into: "at" });
  yield op(does, "load", [slot("at")], { into: "word", label: "expected" });
  yield op(does, "let", [slot("word"), slot("begin"), -1], { positive: "unexpected" });
  yield op(does, "load", [slot("at"), 8], { into: "word" });
  yield op(does, "let", [slot("word"), slot("end"), -1], { zero: "close" });
  yield op(does, "let", [slot("at"), 16, 1], { into: "at", label: "unexpected" });
  yield op(does, "let", [slot("left:open"), -1, 1], {
    into: "left:open",
    zero: "check",
    positive: "expected",
  });
  // The last one takes its place.
  const close = "hear that what it has moved is unmapped";
  yield op(close, "let", [slot("open"), -1, 1], { into: "open", label: "close" });
  yield op(close, "let", [{ inside: OPEN, offset: 0 }, slot("open"), 16], { into: "from" });
  yield op(close, "load", [slot("from")], { into: "word" });
  yield op(close, "load", [slot("from"), 8], { into: "word:end" });
  yield* store(close, ["word", "word:end"], "at");
  yield op(close, "let", [slot("begin"), slot("parked:from"), -1], { positive: "loop" });
  yield op(close, "let", [1], { into: "parked:free", positive: "loop" });
  yield* check();
  const low = { failed: "forget", zero: "low", positive: "low" };
  yield op(does, "lseek", [LOW, slot("begin"), SEEK_DATA], { label: "drop", ...low });
  yield op(does, "let", [slot("end"), -1, 1], { into: "last", label: "low" });
  const nothing = { failed: "clamp", zero: "loop", positive: "loop" };
  yield op(does, "lseek", [LOW, slot("last"), SEEK_DATA], nothing);
  yield op(does, "let", [LOW_END], { into: "begin", label: "clamp" });
  yield op(does, "let", [slot("end"), slot("begin"), -1], { into: "length", label: "forget", zero: "loop" });
  yield run(does, "munmap", [slot("begin"), slot("length")], { zero: "loop" });
  yield* onRemove(message);
}

/** Memory is given back, but stays where it is. */
function* onRemove(message: Bytes): Iterable<Op> {
  const does = "forget what it has given back";
  yield op(does, "load", [{ inside: message, offset: 8 }], { into: "begin", label: "remove" });
  yield op(does, "load", [{ inside: message, offset: 16 }], { into: "end" });
  const low = { zero: "drop", positive: "drop" };
  yield op(does, "lseek", [LOW, slot("begin"), SEEK_DATA], { failed: "keep:place", ...low });
  yield op(does, "let", [slot("end"), slot("begin"), -1], {
    into: "length",
    label: "keep:place",
    zero: "loop",
  });
  yield op(does, "mmap", [slot("begin"), slot("length"), KEEP.prot, KEEP.flags, -1, 0], {
    zero: "loop",
    positive: "loop",
    failed: "drop", // it is in too many pieces
  });
}

/** Whether it is sure what is between `begin` and `end`. */
function* check(): Iterable<Op> {
  const does = "look whether something was moved there";
  yield op(does, "let", [slot("recent")], { into: "left:recent", label: "check", zero: "sure" });
  yield op(does, "let", [{ inside: RECENT, offset: 0 }], { into: "at" });
  yield op(does, "load", [slot("at")], { into: "recent:begin", label: "look:recent" });
  yield op(does, "load", [slot("at"), 8], { into: "recent:end" });
  yield op(does, "let", [slot("recent:begin"), slot("begin"), -1], { zero: "no:doubt" }); // it is that itself
  yield* ifBelow(does, "recent:begin", "end", "no:doubt");
  yield* ifBelow(does, "begin", "recent:end", "no:doubt");
  yield* ifBelow(does, "begin", "recent:begin", "not:before");
  yield jump("kill");
  yield mark("not:before");
  yield* ifBelow(does, "recent:end", "end", "no:doubt");
  yield jump("kill");
  yield op(does, "let", [slot("at"), 16, 1], { into: "at", label: "no:doubt" });
  yield op(does, "let", [slot("left:recent"), -1, 1], { into: "left:recent", positive: "look:recent" });
  yield op(does, "let", [slot("is:move")], { label: "sure", zero: "drop", positive: "remap:sure" });
}

/** Memory is moved, page by page where it is in pieces. All of it is brought in then. */
export function* onRemap(message: Bytes): Iterable<Op> {
  const does = "follow what it has moved";
  yield op(does, "load", [{ inside: message, offset: 8 }], { into: "from", label: "remap" });
  yield op(does, "load", [{ inside: message, offset: 16 }], { into: "to" });
  yield op(does, "load", [{ inside: message, offset: 24 }], { into: "length", zero: "loop" });
  yield op(does, "let", [slot("from"), slot("length"), 1], { into: "from:end" });
  yield op(does, "let", [slot("to"), slot("length"), 1], { into: "to:end" });
  yield op(does, "let", [slot("from")], { into: "begin" });
  yield op(does, "let", [slot("from:end")], { into: "end" });
  yield* ifNotParked();
  yield op(does, "let", [1], { into: "is:move", positive: "check" });
  const expect = "expect to hear that it is unmapped";
  yield op(expect, "let", [slot("open"), -MOST_OPEN, 1], { label: "remap:sure", zero: "kill" });
  yield op(expect, "let", [{ inside: OPEN, offset: 0 }, slot("open"), 16], { into: "at" });
  yield* store(expect, ["from", "from:end"], "at");
  yield op(expect, "let", [slot("open"), 1, 1], { into: "open" });
  // The pager itself is there, so that nothing can be mapped.
  const below = { failed: "alone", zero: "kill", positive: "kill" };
  yield op(does, "lseek", [LOW, slot("to"), SEEK_DATA], below);
  yield* ifOneThread("alone", "clear");
  const remember = "remember what came";
  yield op(remember, "let", [slot("recent"), -MOST_RECENT, 1], { zero: "kill" });
  yield op(remember, "let", [{ inside: RECENT, offset: 0 }, slot("recent"), 16], { into: "at" });
  yield* store(remember, ["to", "to:end"], "at");
  yield op(remember, "let", [slot("recent"), 1, 1], { into: "recent" });
  yield* clear({ label: "clear", failed: "park" });
  yield run(does, "munmap", [slot("to"), slot("length")]);
  yield* move();
}

/** `one` if it has a single thread: several may say things in another order than they did them. */
export function* ifOneThread(label: string, one: string): Iterable<Op> {
  const does = "look how many threads it has";
  const several = `${label}:several`;
  const entries = zeros(TASKS_BYTES, "linux_dirent64");
  yield op(does, "lseek", [TASKS, 0, SEEK_SET], { label, failed: several, positive: several });
  yield op(does, "getdents64", [TASKS, entries, TASKS_BYTES], { into: "size", failed: several });
  for (const size of ONE_TASK) yield ifEqual(does, slot("size"), size, one);
  yield mark(several);
}

function* move(): Iterable<Op> {
  const does = "follow what it has moved";
  const how = flags("MREMAP_", { MAYMOVE: MREMAP_MAYMOVE, FIXED: MREMAP_FIXED });
  yield op(does, "let", [slot("to")], { into: "begin", label: "move" });
  yield op(does, "let", [0], { into: "moved" });
  const whole = { positive: "moved", failed: "page" };
  const below = { failed: "whole", zero: "page", positive: "page" };
  yield op(does, "lseek", [LOW, slot("from"), SEEK_DATA], below);
  yield op(does, "mremap", [slot("from"), slot("length"), slot("length"), how, slot("to")], {
    label: "whole",
    ...whole,
  });
  const absent = { zero: "next:page", positive: "next:page" };
  yield op(does, "lseek", [LOW, slot("from"), SEEK_DATA], { label: "page", failed: "move:page", ...absent });
  yield op(does, "mremap", [slot("from"), PAGE_BYTES, PAGE_BYTES, how, slot("to")], {
    label: "move:page",
    failed: "move:failed",
  });
  yield op(does, "let", [1], { into: "moved", positive: "next:page" });
  yield mark("move:failed");
  yield* onErrno({ EFAULT: "next:page" });
  yield op(does, "let", [slot("to"), PAGE_BYTES, 1], { into: "to", label: "next:page" });
  yield op(does, "let", [slot("from"), PAGE_BYTES, 1], { into: "from" });
  yield op(does, "let", [slot("from:end"), slot("from"), -1], { positive: "page" });
  yield op(does, "let", [slot("moved")], { zero: "loop" });
  const note = "note what it has moved";
  yield op(note, "let", [slot("room"), -1, 1], { into: "room", label: "moved", zero: "kill" });
  yield* store(note, ["begin", "to:end"], "free");
  yield op(note, "let", [slot("free"), ENTRY_BYTES, 1], { into: "free" });
  yield op(note, "let", [slot("count"), 1, 1], { into: "count" });
  yield op(note, "let", [slot("filling")], { zero: "all" });
  yield op(note, "let", [slot("left"), 1, 1], { into: "left", positive: "loop" });
}

/** Its child has memory of its own from now on, and a pager that brings all of it in; so does this one. */
export function* onFork(message: Bytes): Iterable<Op> {
  const does = "beget the pager of its child";
  yield op(does, "load", [{ inside: message, offset: 8 }], { into: "fd", label: "fork" });
  yield op(does, "let", [slot("parked")], { positive: "kill" }); // nobody knows what its child has there
  yield run(does, "clone3", [cloneArgs({}, SIGCHLD), CLONE_ARGS_BYTES], { zero: "child" });
  yield run(does, "close", [slot("fd")]);
  yield op(does, "let", [slot("filling")], { zero: "all", positive: "loop" });
  yield run(does, "dup3", [slot("fd"), UFFD, named("O_CLOEXEC", O.CLOEXEC)], { label: "child" });
  yield run(does, "close_range", [TASKS, LAST_FD, 0]); // those are its parent's threads
  yield op(does, "let", [0], { into: "recent" });
  yield op(does, "let", [0], { into: "open", zero: "join" }); // it has no other threads
}
