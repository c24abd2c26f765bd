/** What `run` does beside `create`, without Deno: it lets the program begin and may wait for its end. */

import { O, O_NOFOLLOW } from "./abi.ts";
import { flags, mark, named, type Op, op, slot, type Struct, text, zeros } from "./op.ts";
import { MESSAGE_BYTES } from "./protocol.ts";
import type { RecreateRequest } from "./recreate.ts";
import { removeEntry } from "./remove_entry.ts";
import { CLD_EXITED, openGate, P_PID, readEnd, timeOf, waitFor, WEXITED, WEXITED_NOWAIT } from "./unaided.ts";

/** The numbers that the stub of the executable gives to `create`, `run --detach` and `run --bundle`. */
export const RECREATE = 8;
export const RECREATE_DETACHED = 9;
export const RECREATE_ATTACHED = 10;

type Request = Pick<RecreateRequest, "arch" | "names" | "groups" | "files" | "executeMs">;

const [SIG_SETMASK, LOCK_UN, LOCK_EX_NB] = [
  named("SIG_SETMASK", 2),
  named("LOCK_UN", 8),
  named("LOCK_EX|LOCK_NB", 6),
];
const REMOVEDIR = named("AT_REMOVEDIR", 0x200);
/** How often, and how long apart, the removal of a cgroup is tried before that is left to Deno. */
const [TRIES, PAUSE_MS] = [20, 1];
const [O_NONBLOCK, POLLERR_ONLY] = [0o4000, 0];
const ORPHANED = text(
  "runtime: Cannot supervise the container: Deno could not be started; see whether it is still there\n",
);

/** Leaves the container to itself: as it is after `create`, or when its program has begun. */
export function* letGo(request: Request): Iterable<Op> {
  yield op("is it to begin?", "let", [slot("command"), -RECREATE, 1], { zero: "done" });
  // As after `create`: a signal ends the command, and the container is left.
  yield op("let signals through again", "rt_sigprocmask", [SIG_SETMASK, { address: "mask" }, 0, 8]);
  yield* openGate();
  const does = "wait for the program";
  yield op(does, "let", [POLLERR_ONLY, slot("gate:write"), 1], { into: "gate:poll" });
  yield op(does, "ppoll", [{ address: "gate:poll" }, 1, timeOf(request.executeMs), 0, 8], {
    zero: "late",
    failed: "done",
  });
  yield* findFailure(request);
  yield op("leave it to itself", "exit_group", [0], { label: "done" });
  yield* leaveToDeno();
}

/** What became no program has left word in the gate of why: nothing has begun, and Deno tells. */
function* findFailure({ arch, names }: Request): Iterable<Op> {
  const does = "look whether it failed";
  const how = flags("O_", { NONBLOCK: O_NONBLOCK, NOFOLLOW: O_NOFOLLOW[arch], CLOEXEC: O.CLOEXEC });
  yield op(does, "openat", [slot("entry"), names.gate, how, 0], { into: "file", failed: "done" });
  yield op(does, "read", [slot("file"), zeros(MESSAGE_BYTES, "failure"), MESSAGE_BYTES], {
    zero: "done",
    positive: "fail",
    failed: "done",
  });
}

/** Lets the program begin, waits for its end, which is that of the command, and removes the container. */
export function* attend(request: Request): Iterable<Op> {
  yield* openGate();
  const limit = { ms: request.executeMs, late: "late" };
  yield* waitFor("status:read", { again: "begin", signal: "adopt", failed: "adopt" }, limit);
  // Who became the program has closed the socket; who could not has said why, and Deno tells.
  yield op("hear of the program", "read", [
    slot("status:read"),
    zeros(MESSAGE_BYTES, "message"),
    MESSAGE_BYTES,
  ], { zero: "begun", positive: "fail", failed: "adopt" });
  yield mark("begun");
  yield op("let others at it", "flock", [slot("entry"), LOCK_UN], { failed: "adopt" });
  yield op("close the gate", "close", [slot("gate:write")], { failed: "adopt" });
  yield* waitFor("process", { again: "wait", signal: "adopt", failed: "adopt" });
  yield* readProgramsEnd();
  yield* removeAll(request);
  yield op("take the program's end", "waitid", [P_PID, slot("init"), 0, WEXITED, 0], {
    label: "removed",
    failed: "adopt",
  });
  yield op("end", "exit_group", [slot("status")]);
  yield* leaveToDeno();
}

/** The program stays to be waited for by Deno, if that must remove the container. */
function* readProgramsEnd(): Iterable<Op> {
  yield* readEnd("init", WEXITED_NOWAIT, { failed: "adopt" });
  yield op("did it exit?", "let", [slot("end"), -CLD_EXITED, 1], { zero: "remove", positive: "killed" });
  yield op("tell of its signal", "let", [slot("status"), 128, 1], { label: "killed", into: "status" });
}

/** As `delete` does without Deno; somebody else may have done so. */
function* removeAll({ names, groups, files }: Request): Iterable<Op> {
  const failed = "adopt";
  yield op("lock the container", "flock", [slot("entry"), LOCK_EX_NB], { label: "remove", failed });
  yield op("find it still there", "faccessat2", [slot("entry"), names.record, 0, 0], {
    ignore: ["ENOENT"],
    ignored: "removed",
    failed,
  });
  // Whoever writes the record anew removes the moves.
  yield op("find it as it was", "faccessat2", [slot("entry"), names.moves, 0, 0], { failed });
  for (const [index, { base }] of groups.entries()) {
    const does = `remove the cgroup in "${base}"`;
    const [again, busy, next] = [`group:${index}:remove`, `group:${index}:busy`, `group:${index}:removed`];
    yield op(does, "let", [TRIES], { into: "tries" });
    yield op(does, "unlinkat", [slot(`base:${index}`), slot("id"), REMOVEDIR], {
      label: again,
      ignore: ["ENOENT"],
      ignored: next,
      zero: next,
      failed: busy,
    });
    yield op("wait for its processes", "ppoll", [0, 0, timeOf(PAUSE_MS), 0, 8], { label: busy, failed });
    yield op("try again", "let", [slot("tries"), -1, 1], { into: "tries", zero: failed, positive: again });
    yield mark(next);
  }
  yield* removeEntry({ files, directory: slot("entry"), parent: slot("store"), id: slot("id") }, failed);
}

/** Becomes a process of Deno's that goes on: it has the same pid, and so the same child. */
function* leaveToDeno(): Iterable<Op> {
  const words = [
    "runtime",
    "--root",
    slot("store:path"),
    "adopt",
    "--container",
    slot("id"),
    slot("init:at"),
  ];
  for (const [label, more] of [["late", ["late"]], ["adopt", []]] as const) {
    const all = [...words, ...more, 0];
    const argv: Struct = { struct: "argv", members: all.map((word, index) => [`${index}`, 8, word]) };
    yield op("let Deno go on", "execve", ["/proc/self/exe", argv, { strings: [] }], {
      label,
      zero: "orphan",
      positive: "orphan",
      failed: "orphan",
    });
  }
  yield op("say what happened", "write", [2, ORPHANED, ORPHANED.bytes.length], {
    label: "orphan",
    failed: "orphan:end",
  });
  yield op("end", "exit_group", [1], { label: "orphan:end" });
}
