import { CLONE_ARGS_BYTES, cloneArgs, SIGCHLD } from "../../runtime/plan/userns.ts";
import { type Arch, O } from "../../runtime/plan/abi.ts";
import { AT_FDCWD, SIGKILL } from "../../runtime/plan/kernel.ts";
import {
  type Bytes,
  flags,
  jump,
  mark,
  named,
  type Op,
  op,
  type Plan,
  slot,
  type Struct,
  text,
} from "../../runtime/plan/op.ts";
import { serve } from "./serve.ts";
import {
  ALL_SIGNALS,
  ENTRY_BYTES,
  FIRST_OWN,
  GUARD,
  ifReady,
  INIT,
  KEEP,
  LAST_FD,
  LOW_END,
  MAP_FIXED,
  MAP_SHARED,
  MOST_MOVES,
  NOTES,
  PAGES,
  PLACE_BYTES,
  polled,
  PROT_READ,
  READY,
  REPORT,
  SIG_IGN,
  SIG_SETMASK,
  SIGNALS,
  SIGNALS_BYTES,
  TOPS,
  TRIES,
} from "./words.ts";

/** What its report says when the sandbox is ended. */
const LOST = text("Its memory could not be brought in any more: its pager has ended or failed.\n");

/** A part of the memory of a process. */
export interface LazyPlace {
  readonly begin: number;
  readonly end: number;
}

/** Memory that is fetched when it is touched: where it lies in the process, and where in the file of pages. */
export interface LazyRange extends LazyPlace {
  readonly offset: number;
}

/**
 * The steps of a pager: a process that brings the pages of one restored process in as it touches them.
 *
 * It maps each page where that process has it, and has let go of everything else: whether there is a page for an address
 * the kernel decides, by whether it can be copied from there. What the process unmaps, gives back or moves it does to its
 * own mappings, so that they follow. A second process, the guard, holds the same userfaultfd and ends the sandbox if the
 * pager ends, and the other way round: were all copies closed, what is missing would be zeros.
 *
 * @param ranges Sorted, at or above `LOW_END`.
 * @param places Where it hears of what is moved or unmapped, pages or not: the ranges are parts of them.
 * @param isSingle Whether the process has one thread: when it has more, all is brought in.
 */
export function pagerPlan(
  arch: Arch,
  ranges: readonly LazyRange[],
  places: readonly LazyPlace[] = ranges,
  isSingle = false,
): Plan {
  const table = tableOf(ranges);
  return {
    arch,
    sections: [
      {
        by: "launcher",
        ops: [...begin(arch), ...map(table, ranges.length, places), ...join(), ...serve(table, isSingle)],
      },
      { by: "end", ops: [...end()] },
    ],
  };
}

/** The entries, and room for what is moved. */
function tableOf(ranges: readonly LazyRange[]): Bytes {
  const words = new BigUint64Array((ranges.length + MOST_MOVES) * ENTRY_BYTES / 8);
  ranges.forEach(({ begin, end, offset }, index) => {
    words.set([BigInt(begin), BigInt(end), BigInt(offset)], index * ENTRY_BYTES / 8);
  });
  return { bytes: new Uint8Array(words.buffer), shows: `${ranges.length} ranges` };
}

/** Becomes a process of its own that holds nothing but the pages. */
function* begin(arch: Arch): Iterable<Op> {
  const alone = "leave whoever started it";
  yield op(alone, "clone3", [cloneArgs({}, SIGCHLD), CLONE_ARGS_BYTES], { zero: "own", positive: "quit" });
  yield op(alone, "setsid", [], { label: "own" });
  yield op(alone, "chdir", ["/"]);
  yield op(alone, "close_range", [FIRST_OWN, LAST_FD, 0]);
  yield op(alone, "rt_sigprocmask", [SIG_SETMASK, ALL_SIGNALS, 0, SIGNALS_BYTES]);
  const ignored: Struct = {
    struct: "sigaction",
    members: [["handler", 8, SIG_IGN], ["flags", 8, 0], ["restorer", 8, 0], ["mask", 8, 0]],
  };
  yield op("have children end by themselves", "rt_sigaction", [SIGCHLD, ignored, 0, SIGNALS_BYTES]);
  const spare = "be spared when memory is short";
  const write = flags("O_", { WRONLY: O.WRONLY, CLOEXEC: O.CLOEXEC });
  yield op(spare, "openat", [AT_FDCWD, "/proc/self/oom_score_adj", write, 0], { into: "file" });
  yield op(spare, "write", [slot("file"), text("-1000"), 5], { failed: "spared" });
  yield op(spare, "close", [slot("file")], { label: "spared" });
  const clear = "let go of all other memory";
  for (const [index, top] of TOPS[arch].entries()) {
    const isLast = index === TOPS[arch].length - 1;
    yield op(clear, "munmap", [LOW_END, top - LOW_END], {
      label: `clear:${index}`,
      zero: "cleared",
      ...(!isLast && { failed: `clear:${index + 1}` }),
    });
  }
  yield mark("cleared");
}

/** Maps its table's pages, and keeps all other places. */
function* map(table: Bytes, count: number, places: readonly LazyPlace[]): Iterable<Op> {
  const keep = "keep the places of what may be moved";
  const words = new BigUint64Array(places.flatMap(({ begin, end }) => [BigInt(begin), BigInt(end)]));
  const kept: Bytes = { bytes: new Uint8Array(words.buffer), shows: `${places.length} places` };
  yield op(keep, "let", [places.length], { into: "left", zero: "kept" });
  yield op(keep, "let", [{ inside: kept, offset: 0 }], { into: "entry" });
  yield op(keep, "load", [slot("entry")], { into: "begin", label: "keep" });
  yield op(keep, "load", [slot("entry"), 8], { into: "end" });
  yield op(keep, "let", [slot("end"), slot("begin"), -1], { into: "length" });
  yield op(keep, "mmap", [slot("begin"), slot("length"), KEEP.prot, KEEP.flags, -1, 0]);
  yield op(keep, "let", [slot("entry"), PLACE_BYTES, 1], { into: "entry" });
  yield op(keep, "let", [slot("left"), -1, 1], { into: "left", positive: "keep" });
  yield mark("kept");
  const does = "map what may be fetched";
  yield op(does, "let", [{ inside: table, offset: 0 }], { into: "entry" });
  yield op(does, "let", [count], { into: "left", zero: "mapped" });
  yield op(does, "load", [slot("entry")], { into: "begin", label: "map" });
  yield op(does, "load", [slot("entry"), 8], { into: "end" });
  yield op(does, "load", [slot("entry"), 16], { into: "offset" });
  yield op(does, "let", [slot("end"), slot("begin"), -1], { into: "length" });
  const how = flags("MAP_", { SHARED: MAP_SHARED, FIXED: MAP_FIXED });
  const prot = named("PROT_READ", PROT_READ);
  yield op(does, "mmap", [slot("begin"), slot("length"), prot, how, PAGES, slot("offset")]);
  yield op(does, "let", [slot("entry"), ENTRY_BYTES, 1], { into: "entry" });
  yield op(does, "let", [slot("left"), -1, 1], { into: "left", positive: "map" });
  yield op(does, "let", [0], { into: "filling", label: "mapped" });
  yield op(does, "let", [count], { into: "count" });
  yield op(does, "let", [{ inside: table, offset: count * ENTRY_BYTES }], { into: "free" });
  yield op(does, "let", [MOST_MOVES], { into: "room" });
  for (const name of ["open", "recent", "parked", "parked:from", "parked:free"]) {
    yield op(does, "let", [0], { into: name });
  }
}

/** Begets its guard, and says that it is ready. */
function* join(): Iterable<Op> {
  const cloexec = named("O_CLOEXEC", O.CLOEXEC);
  yield op("begin", "let", [0], { into: "joined" });
  yield op("begin", "let", [TRIES], { into: "scarcity" });
  const keep = "keep notes";
  yield op(keep, "memfd_create", ["notes", 1], { label: "join", into: "fd" });
  yield op(keep, "dup3", [slot("fd"), NOTES, cloexec]);
  yield op(keep, "close", [slot("fd")]);
  const hear = "hear of signals";
  yield op(hear, "signalfd4", [-1, ALL_SIGNALS, SIGNALS_BYTES, cloexec], { into: "fd" });
  yield op(hear, "dup3", [slot("fd"), SIGNALS, cloexec]);
  yield op(hear, "close", [slot("fd")]);
  const does = "beget the guard";
  yield op(does, "getpid", [], { into: "pager:pid" });
  yield op(does, "pidfd_open", [slot("pager:pid"), 0], { into: "fd" });
  yield op(does, "dup3", [slot("fd"), GUARD, cloexec]); // the guard's: whom it watches
  yield op(does, "close", [slot("fd")]);
  yield op(does, "clone3", [cloneArgs({}, SIGCHLD), CLONE_ARGS_BYTES], { into: "guard:pid", zero: "guard" });
  yield op(does, "pidfd_open", [slot("guard:pid"), 0], { into: "fd" });
  yield op(does, "dup3", [slot("fd"), GUARD, cloexec]);
  yield op(does, "close", [slot("fd")]);
  const say = "say that it is ready";
  yield op(say, "let", [slot("joined")], { positive: "all" });
  yield op(say, "write", [READY, { address: "pager:pid" }, 8]);
  yield op(say, "dup3", [REPORT, READY, cloexec]);
  yield op(say, "let", [1], { into: "joined" });
}

/** How they end, the guard as well. */
function* end(): Iterable<Op> {
  const [watch, kill] = ["wait for the end of the pager", "end the sandbox"];
  const both = polled(INIT, GUARD);
  yield op("end", "pidfd_send_signal", [GUARD, SIGKILL, 0, 0], { label: "done", failed: "quit" });
  yield op("end", "exit_group", [0], { label: "quit" });
  yield op(watch, "ppoll", [both, 2, 0, 0, SIGNALS_BYTES], { label: "guard", failed: "guard" });
  yield* ifReady(both, 0, INIT, "quit");
  yield jump("kill");
  // What has failed before it was ready, its begetter hears of by its end.
  yield op(kill, "let", [slot("joined")], { label: "fail", zero: "quit" });
  yield op(kill, "pidfd_send_signal", [INIT, SIGKILL, 0, 0], { label: "kill", failed: "say" });
  yield op(kill, "write", [REPORT, LOST, LOST.bytes.length], { label: "say", failed: "last" });
  const init = polled(INIT);
  yield op("wait for its end", "ppoll", [init, 1, 0, 0, SIGNALS_BYTES], { label: "last", failed: "last" });
  yield op("end", "exit_group", [1], { failed: "last" });
}
