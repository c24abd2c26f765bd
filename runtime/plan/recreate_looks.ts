/** What the steps of creating a container once more look at before they make anything. */

import { O, O_DIRECTORY } from "./abi.ts";
import { findRights, isSame } from "./caller.ts";
import { tellTime } from "./clock.ts";
import { isWord, sameBytes } from "./exec_line.ts";
import { compareBoot, readFile } from "./first_process.ts";
import { AT, AT_FDCWD } from "./kernel.ts";
import { findKinds } from "./kinds.ts";
import { type Bytes, flags, jump, mark, type Op, op, slot, zeros } from "./op.ts";
import type { RecreateRequest } from "./recreate.ts";
import { lookAtStreams } from "./stream_names.ts";
import { isStill } from "./unaided.ts";

const WORD_BYTES = 8;
const [SLASH, TOP_BYTE] = [47n << 56n, 1n << 56n];
const emptyPath = flags("AT_", { EMPTY_PATH: AT.EMPTY_PATH });

/** Looks at all; opens the directories that a container's cgroups are made in, to `base:0` and so on. */
export function* recreateLooks(request: RecreateRequest, created: Bytes): Iterable<Op> {
  const { arch, bundle, directory, config, executable, kinds, caller, groups, warnings } = request;
  yield* isSame("find an id as long", "length", request.idLength);
  if (warnings.length > 0) {
    yield op("is nothing to be logged?", "let", [slot("log")], { positive: "fail" }); // only Deno does that
  }
  yield* isStill("/proc/self/exe", [AT_FDCWD, "/proc/self/exe", 0], executable);
  yield* isStill("the bundle", [slot("bundle"), "", emptyPath], directory);
  yield* isStill(bundle, [AT_FDCWD, bundle, 0], directory);
  yield* findBundlePath(bundle);
  yield* isStill("config.json", [slot("bundle"), "config.json", 0], config);
  yield* findRights(caller);
  yield* isText("/proc/self/cgroup", caller.groups);
  yield* compareBoot(request.bootId);
  yield* findKinds(kinds, arch);
  const how = flags("O_", { PATH: O.PATH, DIRECTORY: O_DIRECTORY[arch], CLOEXEC: O.CLOEXEC });
  yield op("find the store", "openat", [AT_FDCWD, slot("store:path"), how, 0], { into: "store" });
  for (const [index, { base, place, passedOn }] of groups.entries()) {
    yield op(`find cgroup "${base}"`, "openat", [AT_FDCWD, base, how, 0], { into: `base:${index}` });
    yield* isStill(base, [slot(`base:${index}`), "", emptyPath], place);
    if (passedOn !== undefined) yield* isText(`${base}/cgroup.subtree_control`, passedOn);
  }
  yield* lookAtStreams();
  yield* tellTime(request.daySeconds, created);
}

/** The path must be spelt as it was, as it is written down; a relative one is only known where it is the working directory. */
function* findBundlePath(bundle: string): Iterable<Op> {
  const does = "find the path of the bundle";
  yield op(does, "let", [slot("bundle:path")], { into: "word" });
  yield op(does, "load", [slot("word"), 0], { into: "part" });
  yield op(does, "let", [-SLASH, slot("part"), TOP_BYTE], { zero: "path:absolute" });
  yield* isWord(does, ".", "path:here");
  const found = zeros(4096 + WORD_BYTES, "path");
  yield op(does, "getcwd", [found, 4096]);
  yield op(does, "let", [{ inside: found, offset: 0 }], { into: "word" });
  yield* isWord(does, bundle, "path:directory");
  yield jump("path:same");
  yield mark("path:absolute");
  yield* isWord(does, bundle, "path");
  yield mark("path:same");
}

/** Looks whether a file that has no size says this. */
function* isText(path: string, text: string): Iterable<Op> {
  const content = new TextEncoder().encode(text);
  const room = (Math.floor(content.length / WORD_BYTES) + 1) * WORD_BYTES;
  const padded = new Uint8Array(room);
  padded.set(content);
  const found = zeros(room, "content");
  yield* readFile(path, found, room);
  const expected = { bytes: padded, shows: JSON.stringify(text) };
  yield* sameBytes(`find "${path}" as it was`, path, { found, expected, sizeBytes: content.length });
}
