import { type Arch, O, O_DIRECTORY, O_NOFOLLOW } from "./abi.ts";
import type { Place } from "./caller.ts";
import { findFirst, findThawed, type FirstProcess } from "./first_process.ts";
import { AT_FDCWD } from "./kernel.ts";
import { flags, jump, mark, named, type Op, op, type Plan, slot, text, zeros } from "./op.ts";
import { removeEntry } from "./remove_entry.ts";
import { isStill, outlive } from "./unaided.ts";

/** What can be compiled, by the numbers that the stub of the executable gives them: `tools/build/stub_x86_64.S`. */
export const MOVES = { state: 1, start: 2, delete: 3, kill: 4 } as const;
/** A command on a container. */
export type MoveName = keyof typeof MOVES;

/** What the steps of a container's moves are made from. */
export interface MovesRequest {
  readonly arch: Arch;
  /** Name of the container, and of its directory. */
  readonly id: string;
  /** Its first process: a number that is given away again, and one that is not. */
  readonly init: FirstProcess;
  /** The user namespace of who may go by all this: root of another one may keep his containers elsewhere. */
  readonly users: Place;
  /** What `state` prints. */
  readonly texts: Readonly<Record<"created" | "running" | "paused" | "stopped", string>>;
  /** The files that say whether it is frozen, by a 1. */
  readonly frozen: readonly string[];
  /** The cgroups to remove, in this order; those that must be empty by then, and those that others may use as well. */
  readonly groups: readonly string[];
  readonly parents: readonly string[];
  /** The files in its directory, in the order in which they go; the last is what makes it a container. */
  readonly files: readonly string[];
  /** The fifo in its directory at which the first process waits. */
  readonly gate: string;
  /** How long `start` waits for it to become the program. */
  readonly executeMs: number;
  /** The moves that need nothing else. */
  readonly moves: readonly MoveName[];
}

const OWN_USERS = "/proc/self/ns/user";
const [O_NONBLOCK, LOCK_EX_NB] = [0o4000, 6];
/** Slots of what is open until the end. */
const OPENED = ["file", "process", "gate", "parent"];
const REMOVEDIR = named("AT_REMOVEDIR", 0x200);

/**
 * The steps of the commands on one container, which take the place of Deno's: who walks through them is the executable
 * itself, before it loads anything. They are given the container's directory, the signal and the number of the move.
 *
 * Each looks before it touches anything, and whatever is not as expected leaves all to Deno, which looks again. So they
 * need to know nothing of what is rare, and no step may be one that Deno could not do a second time.
 */
export function planMoves(request: MovesRequest): Plan {
  return { arch: request.arch, sections: [{ by: "move", ops: [...steps(request)] }] };
}

function* steps(request: MovesRequest): Iterable<Op> {
  yield op("take the container's directory", "let", [slot("failed")], { into: "directory" });
  yield op("take the signal", "let", [slot("errno")], { into: "signal" });
  yield op("take the number of the move", "let", [slot("scratch")], { into: "move" });
  for (const fd of OPENED) {
    yield op("open nothing yet", "let", [-1], { into: fd });
  }
  yield* isStill(OWN_USERS, [AT_FDCWD, OWN_USERS, 0], request.users);
  yield outlive("readers");
  for (const move of Object.keys(MOVES) as MoveName[]) {
    if (!request.moves.includes(move)) yield* choose(move, "fail");
  }
  yield* choose("state", "look");
  yield* choose("kill", "look");
  yield* lock(request);
  yield mark("look");
  yield* look(request);
  yield* whenCreated(request);
  yield* whenRunning();
  for (const status of ["created", "running", "paused", "stopped"] as const) yield* print(request, status);
  yield* whenStopped(request);
  yield op("end", "exit_group", [0], { label: "done" });
  yield* leave();
}

/** Goes on with `label` for one move. */
function* choose(move: MoveName, label: string): Iterable<Op> {
  yield op(`is it ${move}?`, "let", [slot("move"), -MOVES[move], 1], { zero: label });
}

/** As `Store.lock` does: nobody else changes the container, and it was not removed while we waited. */
function* lock({ files }: MovesRequest): Iterable<Op> {
  const does = "lock the container";
  yield op(does, "flock", [slot("directory"), named("LOCK_EX|LOCK_NB", LOCK_EX_NB)]);
  yield op("find it still there", "faccessat2", [slot("directory"), files.at(-1)!, 0, 0]);
}

/** Goes on with `created`, `running`, `paused` or `stopped`. */
function* look(request: MovesRequest): Iterable<Op> {
  yield* findFirst(request.init);
  yield* findThawed(request.frozen);
  yield op("does it wait to be started?", "openat", [
    slot("directory"),
    request.gate,
    named(
      "O_WRONLY|O_NONBLOCK|O_NOFOLLOW|O_CLOEXEC",
      O.WRONLY | O_NONBLOCK | O_NOFOLLOW[request.arch] | O.CLOEXEC,
    ),
    0,
  ], { into: "gate", ignore: ["ENXIO", "ENOENT"], ignored: "running" });
  // Nobody would come to what somebody has put in its place.
  yield op("is it a fifo?", "lseek", [slot("gate"), 0, named("SEEK_CUR", 1)], {
    ignore: ["ESPIPE"],
    zero: "fail",
    positive: "fail",
  });
}

/** `start` opens the gate, and waits until who waited there has become the program. */
function* whenCreated({ arch, gate, executeMs }: MovesRequest): Iterable<Op> {
  yield* choose("state", "print created");
  yield op("is it start?", "let", [slot("move"), -MOVES.start, 1], { zero: "open", positive: "fail" });
  yield op("open the gate", "write", [slot("gate"), text("\0"), 1], { label: "open" });
  const members = [["sec", 8, Math.floor(executeMs / 1000)], ["nsec", 8, executeMs % 1000 * 1e6]] as const;
  yield op("wait for the program", "let", [0, slot("gate"), 1], { into: "poll" });
  yield op("wait for the program", "ppoll", [{ address: "poll" }, 1, { struct: "timespec", members }, 0, 8], {
    zero: "fail",
    failed: "done",
  });
  // What became no program has left word in the gate of why: then it has ended, which Deno tells.
  const does = "look whether it failed";
  yield op(does, "openat", [
    slot("directory"),
    gate,
    named(
      "O_RDONLY|O_NONBLOCK|O_NOFOLLOW|O_CLOEXEC",
      O_NONBLOCK | O_NOFOLLOW[arch] | O.CLOEXEC,
    ),
    0,
  ], { into: "file", failed: "done" });
  yield op(does, "read", [slot("file"), zeros(16, "failure"), 16], {
    zero: "done",
    positive: "fail",
    failed: "done",
  });
}

function* whenRunning(): Iterable<Op> {
  yield mark("running");
  yield* choose("state", "print running");
  yield op("is it kill?", "let", [slot("move"), -MOVES.kill, 1], { zero: "send", positive: "fail" });
  yield op("send the signal", "pidfd_send_signal", [slot("process"), slot("signal"), 0, 0], {
    label: "send",
    zero: "done",
  });
}

function* print({ texts }: MovesRequest, status: keyof MovesRequest["texts"]): Iterable<Op> {
  const does = "print the state";
  const said = text(texts[status]);
  const label = `print ${status}`;
  if (status === "paused") {
    yield op("is it state?", "let", [slot("move"), -MOVES.state, 1], {
      label: status,
      zero: label,
      positive: "fail",
    });
  }
  yield op(does, "let", [said.bytes.length], { label, into: "left" });
  yield op(does, "let", [{ inside: said, offset: 0 }], { into: "said" });
  yield op(does, "write", [1, slot("said"), slot("left")], {
    label: `${label} on`,
    into: "written",
  });
  yield op(does, "let", [slot("said"), slot("written"), 1], { into: "said" });
  yield op(does, "let", [slot("left"), slot("written"), -1], {
    into: "left",
    zero: "done",
    positive: `${label} on`,
  });
}

/** `delete` removes the cgroups, then the files, then the directory. */
function* whenStopped(request: MovesRequest): Iterable<Op> {
  yield mark("stopped");
  yield* choose("state", "print stopped");
  yield op("is it delete?", "let", [slot("move"), -MOVES.delete, 1], { zero: "remove", positive: "fail" });
  yield mark("remove");
  for (const directory of request.groups) {
    const does = `remove the cgroup "${directory}"`;
    yield op(does, "unlinkat", [AT_FDCWD, directory, REMOVEDIR], { ignore: ["ENOENT"] });
  }
  for (const directory of request.parents) {
    const does = `remove the cgroup "${directory}" if nobody uses it`;
    yield op(does, "unlinkat", [AT_FDCWD, directory, REMOVEDIR], {
      ignore: ["ENOENT", "EBUSY", "ENOTEMPTY"],
    });
  }
  yield op("open the directory above", "openat", [
    slot("directory"),
    "..",
    flags("O_", { PATH: O.PATH, DIRECTORY: O_DIRECTORY[request.arch], CLOEXEC: O.CLOEXEC }),
    0,
  ], { into: "parent" });
  yield* removeEntry({
    files: request.files,
    directory: slot("directory"),
    parent: slot("parent"),
    id: request.id,
  });
  yield jump("done");
}

/** What was opened is closed, and with the directory its lock is let go. */
function* leave(): Iterable<Op> {
  yield mark("fail");
  for (const fd of [...OPENED, "directory"]) {
    yield op("close what was opened", "close", [slot(fd)], { ignore: ["EBADF"], failed: "leave" });
  }
  yield op("leave it to Deno", "leave", [], { label: "leave" });
}
