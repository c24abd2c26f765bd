import {
  type Bytes,
  flags,
  jump,
  mark,
  named,
  type Op,
  op,
  type Rest,
  slot,
  type Struct,
} from "../../runtime/plan/op.ts";
import {
  ifBelow,
  ifEqual,
  MAP_ANONYMOUS,
  MAP_FIXED_NOREPLACE,
  MAP_PRIVATE,
  NUMBERS,
  PAGE_BYTES,
  PAUSE,
  PROT_NONE,
  run,
  SIGNALS_BYTES,
  TRIES,
  UFFD,
  UFFDIO_COPY,
} from "./words.ts";

/*
 * Something was moved to where something else is, as far as the pager has heard. So another thread has unmapped that or
 * moved it away, and is about to say so. Until it has, no page is brought in: the kernel refuses to, as long as somebody
 * has something to say.
 */

/** Makes sure that nothing is where something is to be moved to. */
export function* clear(rest: Rest): Iterable<Op> {
  const does = "look whether there is room for what it has moved";
  const how = flags("MAP_", {
    PRIVATE: MAP_PRIVATE,
    ANONYMOUS: MAP_ANONYMOUS,
    FIXED_NOREPLACE: MAP_FIXED_NOREPLACE,
  });
  const none = named("PROT_NONE", PROT_NONE);
  yield op(does, "mmap", [slot("to"), slot("length"), none, how, -1, 0], rest);
}

/**
 * A move from where the parked one goes: if that one's thread may have gone on, it could be either of what was there and
 * what came.
 */
export function* ifNotParked(): Iterable<Op> {
  const does = "look whether it moves what is parked";
  yield op(does, "let", [slot("parked")], { zero: "not:parked" });
  yield op(does, "let", [slot("parked:free")], { zero: "not:parked" });
  yield* ifBelow(does, "from", "parked:end", "not:parked");
  yield* ifBelow(does, "parked:to", "from:end", "not:parked");
  yield jump("kill");
  yield mark("not:parked");
}

/** Parks a move; and tries it again whenever something was heard, or if nobody has anything to say. */
export function* whileParked(all: Bytes): Iterable<Op> {
  const does = "wait for room for what it has moved";
  yield mark("park");
  yield ifEqual(does, slot("errno"), NUMBERS.EEXIST, "park:it");
  yield jump("kill");
  yield op(does, "let", [slot("parked")], { label: "park:it", positive: "kill" });
  yield op(does, "let", [slot("from")], { into: "parked:from" });
  yield op(does, "let", [slot("length")], { into: "parked:length" });
  yield op(does, "let", [slot("to")], { into: "parked:to" });
  yield op(does, "let", [slot("to:end")], { into: "parked:end" });
  yield op(does, "let", [0], { into: "parked:free" });
  yield op(does, "let", [TRIES], { into: "scarcity" });
  yield op(does, "let", [1], { into: "parked" });
  yield op(does, "let", [slot("parked:from")], { label: "parked", into: "from" });
  yield op(does, "let", [slot("parked:length")], { into: "length" });
  yield op(does, "let", [slot("parked:to")], { into: "to" });
  yield op(does, "let", [slot("parked:end")], { into: "to:end" });
  yield op(does, "let", [slot("from"), slot("length"), 1], { into: "from:end" });
  yield* clear({ failed: "parked:still" });
  yield run(does, "munmap", [slot("to"), slot("length")], { label: "unpark" });
  yield op(does, "let", [0], { into: "parked:from" });
  yield op(does, "let", [0], { into: "parked", zero: "move" });
  // Who has to say something is in the queue by then, before what those do who hear that they may go on.
  yield run(does, "ppoll", [0, 0, PAUSE, 0, SIGNALS_BYTES], { label: "parked:still", ignore: ["EINTR"] });
  const now: Struct = { struct: "timespec", members: [["sec", 8, 0], ["nsec", 8, 0]] };
  yield run(does, "ppoll", [all, 4, now, 0, SIGNALS_BYTES], {
    ignore: ["EINTR"],
    ignored: "loop",
    positive: "look",
  });
  // A copy to nowhere: refused for that reason only if nobody has anything to say.
  const nowhere: Struct = {
    struct: "uffdio_copy",
    members: [["dst", 8, 0], ["src", 8, 0], ["len", 8, PAGE_BYTES], ["mode", 8, 0], ["copy", 8, 0]],
  };
  yield op(does, "ioctl", [UFFD, named("UFFDIO_COPY", UFFDIO_COPY), nowhere], { failed: "parked:why" });
  yield jump("kill");
  yield mark("parked:why");
  yield ifEqual(does, slot("errno"), NUMBERS.EAGAIN, "parked:count");
  yield ifEqual(does, slot("errno"), NUMBERS.ESRCH, "done");
  yield op(does, "let", [0], { zero: "unpark" });
  yield op(does, "let", [slot("scarcity"), -1, 1], {
    into: "scarcity",
    label: "parked:count",
    zero: "kill",
    positive: "loop",
  });
}
