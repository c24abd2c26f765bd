import { O } from "./abi.ts";
import type { Context } from "./context.ts";
import { AT_FDCWD, CLONE } from "./kernel.ts";
import { flags, mark, named, type Op, op, slot, type Struct, text } from "./op.ts";

/** How often, and how long apart, the guard tries to remove a group whose processes are being killed. */
const [TRIES, PAUSE_NANOSECONDS] = [500, 10_000_000];

/** Opened by the launcher, whose rights count when init writes: a user namespace has none over these files. */
export function* openGroups({ groups = [] }: Context): Iterable<Op> {
  const write = flags("O_", { WRONLY: O.WRONLY, CLOEXEC: O.CLOEXEC });
  for (const [index, directory] of groups.entries()) {
    const file = `${directory}/cgroup.procs`;
    yield op(`open cgroup "${directory}"`, "openat", [AT_FDCWD, file, write, 0], { into: `group:${index}` });
  }
}

/**
 * Init moves itself, and nobody else: the guard stays outside. The cgroup namespace comes afterwards, so that its root
 * is the sandbox's own group (cgroup_namespaces(7)).
 */
export function* joinGroups({ groups = [], namespace }: Context): Iterable<Op> {
  if (groups.length === 0) return;
  for (const [index, directory] of groups.entries()) {
    yield op(`join cgroup "${directory}"`, "write", [slot(`group:${index}`), text("0"), 1]);
  }
  if (namespace("cgroup") === "new") {
    yield op("make a cgroup namespace", "unshare", [named("CLONE_NEWCGROUP", CLONE.NEWCGROUP)]);
  }
}

/** What the guard does for a supervisor that died: removes the groups, once the kernel has emptied them. */
export function* removeGroups({ groups = [] }: Context): Iterable<Op> {
  if (groups.length === 0) return;
  const pause: Struct = { struct: "timespec", members: [["sec", 8, 0], ["nsec", 8, PAUSE_NANOSECONDS]] };
  yield op("remove the cgroups", "let", [TRIES], { into: "group:tries" });
  for (const [index, directory] of groups.entries()) {
    const does = `remove cgroup "${directory}"`;
    const [again, wait, over] = ["again", "wait", "over"].map((word) => `group:${index}:${word}`) as [
      string,
      string,
      string,
    ];
    yield op(does, "unlinkat", [AT_FDCWD, directory, named("AT_REMOVEDIR", 0x200)], {
      label: again,
      zero: over,
      ignore: ["ENOENT"],
      ignored: over,
      failed: wait,
    });
    yield op(does, "ppoll", [0, 0, pause, 0, 8], { label: wait, failed: over });
    yield op(does, "let", [slot("group:tries"), -1, 1], { into: "group:tries", positive: again });
    yield mark(over);
  }
}
