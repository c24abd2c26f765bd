/** How whoever makes a container without Deno learns who its first process is. */

import { O, O_DIRECTORY } from "./abi.ts";
import { AT, AT_FDCWD } from "./kernel.ts";
import { type Arg, type Bytes, flags, mark, named, type Op, op, slot, zeros } from "./op.ts";
import { MESSAGE, MESSAGE_BYTES } from "./protocol.ts";
import type { RecreateRequest } from "./recreate.ts";
import { digitsOf } from "./texts.ts";
import { P_PID, waitFor, WEXITED } from "./unaided.ts";

const STATX = { bytes: 256, inode: 32 } as const;
const STATX_INO = named("STATX_INO", 0x100);
const TOP_BYTE = 1n << 56n;
/** Where the start of a process is in /proc/<pid>/stat, in spaces behind its name; and how far that may be. */
const [START_SPACES, MOST_NAME, STAT_BYTES] = [20, 64, 1024];
const emptyPath = flags("AT_", { EMPTY_PATH: AT.EMPTY_PATH });

/** What is heard at the status socket, and what it tells of. */
export const message: Bytes = zeros(MESSAGE_BYTES, "message");
export const told: Arg = { inside: message, offset: 8 };
const NOW = { struct: "timespec", members: [["sec", 8, 0], ["nsec", 8, 0]] } as const;

/** Whether something was said that was not heard: goes on with `heard` or `silent`. */
export function* isThereMore(labels: { readonly heard: string; readonly silent: string }): Iterable<Op> {
  const does = "was there more to hear?";
  yield op(does, "let", [slot("status:read"), 1, 1n << 32n], { into: "more:poll" });
  yield op(does, "ppoll", [{ address: "more:poll" }, 1, NOW, 0, 8], {
    zero: labels.silent,
    positive: labels.heard,
    failed: labels.silent,
  });
}

/** Hears who init is and that it is ready: each may come first. */
export function* hear(): Iterable<Op> {
  const does = "hear of the launch";
  yield* waitFor("status:read", { again: "hear", signal: "fail", failed: "fail" });
  yield op(does, "read", [slot("status:read"), message, MESSAGE_BYTES], { zero: "fail" });
  yield op(does, "load", [message, 0], { into: "what" });
  yield op(does, "let", [slot("what"), -MESSAGE.cloned, 1], { zero: "cloned" });
  yield op(does, "let", [slot("what"), -MESSAGE.ready, 1], { zero: "ready", positive: "fail" });
  yield op(does, "load", [told, 0], { label: "cloned", into: "init" });
  yield op("is it ready?", "let", [slot("ready")], { zero: "hear", positive: "both" });
  yield op(does, "let", [1], { label: "ready", into: "ready" });
  yield op("know init", "let", [slot("init")], { positive: "both" });
  // The launcher tells who it is, or has ended before it could.
  yield op("take the launcher's end", "waitid", [P_PID, slot("launcher"), 0, WEXITED, 0]);
  yield op("take the launcher's end", "let", [0], { into: "launcher" });
  yield* isThereMore({ heard: "hear", silent: "fail" });
  yield op("is the launcher there?", "let", [slot("launcher")], { label: "both", zero: "departed" });
  yield op("take the launcher's end", "waitid", [P_PID, slot("launcher"), 0, WEXITED, 0]);
  yield op("take the launcher's end", "let", [0], { into: "launcher" });
  yield mark("departed");
}

/** What a record says of init: its pid and start; and the number that no other process gets. */
export function* nameInit({ arch }: Pick<RecreateRequest, "arch">): Iterable<Op> {
  const does = "name init";
  const info = zeros(STATX.bytes, "statx");
  yield op(does, "pidfd_open", [slot("init"), 0], { into: "process" });
  yield op(does, "statx", [slot("process"), "", emptyPath, STATX_INO, info]);
  yield op(does, "load", [{ inside: info, offset: STATX.inode }, 0], { into: "inode" });
  yield op(does, "let", [0, slot("inode"), -1], { into: "negative inode" });
  yield* digitsOf("init");
  const how = flags("O_", { PATH: O.PATH, DIRECTORY: O_DIRECTORY[arch], CLOEXEC: O.CLOEXEC });
  yield op(does, "openat", [AT_FDCWD, "/proc", how, 0], { into: "parent" });
  yield op(does, "openat", [slot("parent"), slot("init:at"), how, 0], { into: "file" });
  yield op(does, "close", [slot("parent")]);
  yield op(does, "let", [slot("file")], { into: "parent" });
  yield op(does, "openat", [slot("parent"), "stat", flags("O_", { CLOEXEC: O.CLOEXEC }), 0], {
    into: "file",
  });
  const stat = zeros(STAT_BYTES + 8, "stat");
  yield op(does, "read", [slot("file"), stat, STAT_BYTES], { zero: "fail" });
  yield op(does, "close", [slot("file")]);
  yield op(does, "let", [-1], { into: "file" });
  yield op(does, "let", [{ inside: stat, offset: 0 }], { into: "cursor" });
  yield* skipTo(")", 1, "stat:name");
  yield* skipTo(" ", START_SPACES, "stat:start");
  yield op(does, "let", [slot("cursor"), 1, 1], { into: "start:at" });
  yield op(does, "let", [slot("start:at")], { into: "cursor" });
  yield* skipTo(" ", 1, "stat:end");
  yield op(does, "let", [slot("cursor"), slot("start:at"), -1], { into: "start:length" });
}

/** Moves slot `cursor` on to the character that comes for this time. */
function* skipTo(character: string, times: number, name: string): Iterable<Op> {
  const does = "read /proc/<pid>/stat";
  const expected = BigInt(character.charCodeAt(0)) << 56n;
  yield op(does, "let", [times], { into: "times" });
  yield op(does, "let", [MOST_NAME + 20 * times], { into: "room" });
  yield op(does, "load", [slot("cursor"), 0], { label: `${name}:next`, into: "word" });
  yield op(does, "let", [-expected, slot("word"), TOP_BYTE], { positive: `${name}:other` });
  yield op(does, "let", [slot("times"), -1, 1], { into: "times", zero: `${name}:found` });
  yield op(does, "let", [slot("cursor"), 1, 1], { label: `${name}:other`, into: "cursor" });
  yield op(does, "let", [slot("room"), -1, 1], {
    into: "room",
    zero: "fail",
    positive: `${name}:next`,
  });
  yield mark(`${name}:found`);
}
