/** How a container's cgroups are made once more, below directories that are open. */

import { type Arch, O, O_DIRECTORY, O_NOFOLLOW } from "./abi.ts";
import { flags, mark, named, type Op, op, slot, text, zeros } from "./op.ts";
import type { Place } from "./caller.ts";

/** A cgroup that is called as its container. */
export interface GroupSteps {
  /** The directory that it is made in. */
  readonly base: string;
  readonly place: Place;
  /** The controllers of version 2 that are passed on there. */
  readonly passedOn?: string | undefined;
  /** Whether a new one has neither processors nor memory (cpuset(7)). */
  readonly inherits: boolean;
  /** What is written there, in this order. */
  readonly writes: readonly { readonly file: string; readonly value: string; readonly ifThere: boolean }[];
}

const MARK = "trusted.ai-sandbox.container";
const REMOVEDIR = named("AT_REMOVEDIR", 0x200);
const CPUSET = ["cpuset.cpus", "cpuset.mems"] as const;
const MOST_CPUS = 4096;
const read = flags("O_", { CLOEXEC: O.CLOEXEC });
const write = flags("O_", { WRONLY: O.WRONLY, CLOEXEC: O.CLOEXEC });

/** Makes all of them, to the slots `group:0` and so on, marked by the text of slots `identity` and `identity:length`. */
export function* makeGroups(groups: readonly GroupSteps[], arch: Arch): Iterable<Op> {
  const how = flags("O_", {
    DIRECTORY: O_DIRECTORY[arch],
    NOFOLLOW: O_NOFOLLOW[arch],
    CLOEXEC: O.CLOEXEC,
  });
  for (const [index, { base, inherits, writes }] of groups.entries()) {
    const [group, parent] = [`group:${index}`, slot(`base:${index}`)];
    const does = `make a cgroup in "${base}"`;
    yield op(does, "mkdirat", [parent, slot("id"), named("0755", 0o755)]);
    yield op(does, "let", [1], { into: `${group}:made` });
    yield op(does, "openat", [parent, slot("id"), how, 0], { into: group });
    yield op(does, "fsetxattr", [slot(group), MARK, slot("identity"), slot("identity:length"), 0]);
    if (inherits) yield* inherit(does, index);
    for (const [at, { file, value, ifThere }] of writes.entries()) {
      const next = `${group}:${at}`;
      const rest = ifThere ? { ignore: ["ENOENT"] as const, ignored: next } : {};
      yield op(does, "openat", [slot(group), file, write, 0], { into: "file", ...rest });
      yield op(does, "write", [slot("file"), text(value), text(value).bytes.length]);
      yield op(does, "close", [slot("file")]);
      if (ifThere) yield mark(next);
    }
    yield op(does, "let", [-1], { into: "file" });
  }
}

function* inherit(does: string, index: number): Iterable<Op> {
  for (const file of CPUSET) {
    const [next, empty] = [`group:${index}:${file}`, `group:${index}:${file}:empty`];
    yield op(does, "openat", [slot(`group:${index}`), file, read, 0], { into: "file" });
    yield op(does, "read", [slot("file"), zeros(8, "own"), 8], { into: "count" });
    yield op(does, "close", [slot("file")]);
    yield op(does, "let", [slot("count")], { zero: empty });
    yield op(does, "let", [slot("count"), -1, 1], { zero: empty, positive: next });
    const above = zeros(MOST_CPUS, "above");
    yield op(does, "openat", [slot(`base:${index}`), file, read, 0], { label: empty, into: "file" });
    yield op(does, "read", [slot("file"), above, MOST_CPUS], { into: "count" });
    yield op(does, "close", [slot("file")]);
    yield op(does, "openat", [slot(`group:${index}`), file, write, 0], { into: "file" });
    yield op(does, "write", [slot("file"), above, slot("count")]);
    yield op(does, "close", [slot("file")]);
    yield mark(next);
  }
}

/** Removes those that were made. One that stays, as others are still dying in it, is found by the gate: slot `known` is 0 then. */
export function* removeMade(groups: readonly GroupSteps[]): Iterable<Op> {
  for (const [index, { base }] of groups.entries()) {
    const next = `undo:group:${index}`;
    const does = `remove the cgroup in "${base}"`;
    yield op(does, "let", [slot(`group:${index}:made`)], { zero: next });
    yield op(does, "unlinkat", [slot(`base:${index}`), slot("id"), REMOVEDIR], {
      zero: next,
      ignore: ["ENOENT"],
      ignored: next,
      failed: `${next}:stays`,
    });
    yield op(does, "let", [0], { into: "known", label: `${next}:stays` });
    yield mark(next);
  }
}
