import {
  type Bytes,
  jump,
  mark,
  named,
  type Op,
  op,
  slot,
  type Struct,
  zeros,
} from "../../runtime/plan/op.ts";
import { ifOneThread, onFork, onRemap, onUnmap } from "./moves.ts";
import { whileParked } from "./parked.ts";
import {
  ENTRY_BYTES,
  EVENT,
  GUARD,
  ifEqual,
  ifReady,
  INIT,
  isThere,
  LOW,
  onErrno,
  PAGE_BYTES,
  PAUSE,
  polled,
  run,
  SEEK_DATA,
  SIGINFO_BYTES,
  SIGNALS,
  SIGNALS_BYTES,
  SIGTERM,
  SIGUSR1,
  TRIES,
  UFFD,
  UFFDIO_COPY,
  UFFDIO_WAKE,
  UFFDIO_ZEROPAGE,
} from "./words.ts";

/**
 * What the pager does from then on: it hears of the process, and does what there is to be done.
 *
 * @param isSingle Whether the process had one thread so far. As soon as it touches something with more, all is brought in:
 * threads that move memory at the same time could leave open what is where.
 */
export function* serve(table: Bytes, isSingle: boolean): Iterable<Op> {
  const all = polled(UFFD, INIT, GUARD, SIGNALS);
  const wait = "wait for the process to touch something";
  yield op(wait, "let", [slot("parked")], { label: "loop", positive: "parked" });
  yield op(wait, "let", [slot("filling")], { positive: "fill" });
  yield run(wait, "ppoll", [all, 4, 0, 0, SIGNALS_BYTES], {
    ignore: ["EINTR"],
    ignored: "loop",
    positive: "look",
  });
  const now: Struct = { struct: "timespec", members: [["sec", 8, 0], ["nsec", 8, 0]] };
  yield run(wait, "ppoll", [all, 4, now, 0, SIGNALS_BYTES], {
    label: "busy",
    ignore: ["EINTR"],
    ignored: "loop",
    zero: "loop",
  });
  yield mark("look");
  yield* ifReady(all, 1, INIT, "done");
  yield* ifReady(all, 2, GUARD, "kill");
  yield* ifReady(all, 3, SIGNALS, "signal");
  const message = zeros(32, "message");
  yield run("hear what it is", "read", [UFFD, message, 32], { ignore: ["EAGAIN"], ignored: "loop" });
  yield op("hear what it is", "load", [{ inside: message, offset: 0 }], { into: "event" });
  for (const [name, number] of Object.entries(EVENT)) {
    yield ifEqual("hear what it is", slot("event"), number, name);
  }
  yield jump("kill");
  yield* onFault(message, isSingle ? "threads" : "loop");
  yield* onUnmap(message);
  yield* onRemap(message);
  yield* whileParked(all);
  yield* onFork(message);
  yield* onSignal();
  yield* fill(table);
}

function copyArgs(address: string): Struct {
  const at = slot(address);
  return {
    struct: "uffdio_copy",
    members: [["dst", 8, at], ["src", 8, at], ["len", 8, PAGE_BYTES], ["mode", 8, 0], ["copy", 8, 0]],
  };
}

function range(address: string, more = false): Struct {
  return {
    struct: "uffdio_range",
    members: [
      ["start", 8, slot(address)],
      ["len", 8, PAGE_BYTES],
      ...(more ? [["mode", 8, 0], ["zeropage", 8, 0]] as const : []),
    ],
  };
}

/** One page is touched; `then` comes when it is there. */
function* onFault(message: Bytes, then: string): Iterable<Op> {
  const does = "bring in a page";
  yield op(does, "load", [{ inside: message, offset: 16 }], { into: "address", label: "pagefault" });
  yield op(does, "let", [slot("parked")], { positive: "wake" }); // it is not known yet what is there
  yield op(does, "lseek", [LOW, slot("address"), SEEK_DATA], {
    failed: "copy",
    zero: "zero",
    positive: "zero",
  });
  yield op(does, "ioctl", [UFFD, named("UFFDIO_COPY", UFFDIO_COPY), copyArgs("address")], {
    label: "copy",
    failed: "copy:failed",
  });
  yield op(does, "let", [0], { into: "recent", label: "plenty" }); // nobody was at anything
  yield op(does, "let", [TRIES], { into: "scarcity", positive: then });
  const again = { EEXIST: "wake", ENOENT: "wake", EAGAIN: "wake", ESRCH: "done", ENOMEM: "scarce" };
  yield mark("copy:failed");
  yield* onErrno({ EFAULT: "copy:look", ...again });
  // Where the kernel has no memory to read it, that is no reason for zeros.
  yield* isThere("address", "copy:look", { there: "scarce", absent: "zero" });
  const zero = "bring in a page of zeros";
  yield op(zero, "ioctl", [UFFD, named("UFFDIO_ZEROPAGE", UFFDIO_ZEROPAGE), range("address", true)], {
    label: "zero",
    zero: "plenty",
    failed: "zero:failed",
  });
  yield mark("zero:failed");
  yield* onErrno(again);
  yield run("wait for memory", "ppoll", [0, 0, PAUSE, 0, SIGNALS_BYTES], {
    label: "scarce",
    ignore: ["EINTR"],
  });
  yield op("wait for memory", "let", [slot("scarcity"), -1, 1], { into: "scarcity", zero: "kill" });
  yield run("let it try again", "ioctl", [UFFD, named("UFFDIO_WAKE", UFFDIO_WAKE), range("address")], {
    label: "wake",
    zero: "loop",
    ignore: ["EINVAL", "EAGAIN"],
    ignored: "loop",
  });
  yield jump("loop");
  if (then === "loop") return;
  const threads = "look whether it has several threads by now";
  yield op(threads, "let", [slot("filling")], { label: then, positive: "loop" });
  yield* ifOneThread("several", "loop");
  yield jump("all");
}

/** Whoever makes a checkpoint wants all of it; whoever ends the pager ends the sandbox. */
function* onSignal(): Iterable<Op> {
  const does = "hear what signal it is";
  const info = zeros(SIGINFO_BYTES, "signalfd_siginfo");
  yield run(does, "read", [SIGNALS, info, SIGINFO_BYTES], { label: "signal" });
  yield op(does, "load", [{ inside: info, offset: 0 }], { into: "word" });
  yield ifEqual(does, slot("word"), SIGUSR1, "wanted");
  yield ifEqual(does, slot("word"), SIGTERM, "kill");
  yield jump("loop");
  yield op(does, "let", [slot("filling")], { label: "wanted", zero: "all", positive: "loop" });
}

/** Brings in everything, a page at a time, so that whoever touches one does not wait. */
function* fill(table: Bytes): Iterable<Op> {
  const does = "bring in all pages";
  yield op(does, "let", [1], { into: "filling", label: "all" });
  yield op(does, "let", [{ inside: table, offset: 0 }], { into: "entry" });
  yield op(does, "let", [slot("count")], { into: "left", zero: "done" });
  yield op(does, "load", [slot("entry")], { into: "current", label: "entry" });
  yield op(does, "load", [slot("entry"), 8], { into: "current:end", positive: "loop" });
  yield op(does, "let", [slot("current:end"), slot("current"), -1], { label: "fill", positive: "next" });
  yield op(does, "let", [slot("entry"), ENTRY_BYTES, 1], { into: "entry" });
  yield op(does, "let", [slot("left"), -1, 1], { into: "left", zero: "done", positive: "entry" });
  yield op(does, "ioctl", [UFFD, named("UFFDIO_COPY", UFFDIO_COPY), copyArgs("current")], {
    label: "next",
    failed: "next:failed",
  });
  yield op(does, "let", [0], { into: "recent" });
  yield op(does, "let", [TRIES], { into: "scarcity" });
  yield op(does, "let", [slot("current"), PAGE_BYTES, 1], {
    into: "current",
    label: "skip",
    positive: "busy",
  });
  yield mark("next:failed");
  const gone = { EEXIST: "skip", ENOENT: "skip", EFAULT: "next:look" };
  yield* onErrno({ ...gone, EAGAIN: "busy", ESRCH: "done", ENOMEM: "short" });
  yield* isThere("current", "next:look", { there: "short", absent: "skip" });
  yield run("wait for memory", "ppoll", [0, 0, PAUSE, 0, SIGNALS_BYTES], {
    label: "short",
    ignore: ["EINTR"],
  });
  yield op("wait for memory", "let", [slot("scarcity"), -1, 1], {
    into: "scarcity",
    zero: "kill",
    positive: "busy",
  });
}
