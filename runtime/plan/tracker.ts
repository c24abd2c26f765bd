import { O, O_DIRECTORY } from "./abi.ts";
import type { Context } from "./context.ts";
import { AT_FDCWD } from "./kernel.ts";
import { type Arg, flags, mark, named, type Op, op, slot, type Struct, text } from "./op.ts";
import { UnsupportedError } from "../errors.ts";

/** Room for the digits of a pid. */
const PID_ROOM = 10;
/** How often, and how long apart, the removal of the group is tried, as in cgroup_remove.ts: for ten minutes. */
const [TRIES, PAUSE_NANOSECONDS] = [60_000, 10_000_000];

/**
 * Without a pid namespace of its own, what a sandbox starts outlives its init: a cgroup (version 2) finds it again, this
 * one if the sandbox has none for its limits.
 */
export function isTracked({ namespace, groups = [], form }: Context): boolean {
  if (namespace("pid") === "new") return false;
  if (form === "detached") {
    // There is no guard that could end them: whoever deletes it finds them by its groups.
    if (groups.length > 0) return false;
    throw new UnsupportedError(
      "/linux/namespaces",
      "without a pid namespace it takes a cgroup to end what the program starts, and it has none",
      'add {"type": "pid"}',
    );
  }
  return groups.every(({ version }) => version === 1);
}

/** The group's path; the launcher's pid, filled in when it runs, makes it the only one. */
function groupPath({ host }: Context): { path: Arg; end: Arg } {
  const tree = host.cgroups.find(({ version }) => version === 2);
  if (!tree || !host.privileged) {
    const lacking = tree ? "this user may not make one" : "there is no cgroup version 2 here";
    throw new UnsupportedError(
      "/linux/namespaces",
      `without a pid namespace it takes a cgroup to end what the program starts, and ${lacking}`,
      'add {"type": "pid"}',
    );
  }
  const own = tree.own === "/" ? "" : tree.own;
  const start = `${tree.mountPoint}${own}/ai-sandbox-`;
  const bytes = text(`${start}${"0".repeat(PID_ROOM)}\0`);
  const path = { ...bytes, shows: JSON.stringify(`${start}<pid>`) };
  return { path, end: { inside: path, offset: new TextEncoder().encode(start).length + PID_ROOM } };
}

/** The steps that make the group, that undo it when init cannot be born, and that end everything in it. */
export interface Tracker {
  readonly make: readonly Op[];
  readonly undo: readonly Op[];
  /** `by` keeps the labels of two processes that do this apart. */
  readonly end: (by: string) => readonly Op[];
}

/** The tracker of a sandbox without a pid namespace; slot `cgroup` is the group that init is born into. */
export function tracker(context: Context): Tracker {
  const { path, end } = groupPath(context);
  const does = "make a cgroup to find the sandbox's processes by";
  const how = flags("O_", { RDONLY: O.RDONLY, DIRECTORY: O_DIRECTORY[context.arch], CLOEXEC: O.CLOEXEC });
  const write = flags("O_", { WRONLY: O.WRONLY, CLOEXEC: O.CLOEXEC });
  const remove = [AT_FDCWD, path, named("AT_REMOVEDIR", 0x200)];
  const pause: Struct = { struct: "timespec", members: [["sec", 8, 0], ["nsec", 8, PAUSE_NANOSECONDS]] };
  return {
    make: [
      op(does, "getpid", [], { into: "launcher:pid" }),
      op(does, "decimal", [slot("launcher:pid"), end]),
      // A launcher that was killed early, and had the same pid, has left it empty.
      op(does, "unlinkat", remove, { ignore: ["ENOENT"] }),
      op(does, "mkdirat", [AT_FDCWD, path, named("0755", 0o755)]),
      op(does, "openat", [AT_FDCWD, path, how, 0], { into: "cgroup", failed: "untrack" }),
    ],
    undo: [
      op("remove the cgroup again", "unlinkat", remove, { label: "untrack", zero: "fail", positive: "fail" }),
    ],
    end: (by) => [
      op("end everything in the cgroup", "openat", [slot("cgroup"), "cgroup.kill", write, 0], {
        into: "file",
        failed: `${by}:untrack:over`,
      }),
      op("end everything in the cgroup", "write", [slot("file"), text("1"), 1], {
        failed: `${by}:untrack:over`,
      }),
      op("remove the cgroup", "let", [TRIES], { into: "tries" }),
      op("remove the cgroup", "unlinkat", remove, {
        label: `${by}:untrack:again`,
        zero: `${by}:untrack:over`,
        failed: `${by}:untrack:wait`,
      }),
      op("wait for its processes", "ppoll", [0, 0, pause, 0, 8], {
        label: `${by}:untrack:wait`,
        failed: `${by}:untrack:over`,
      }),
      op("try again", "let", [slot("tries"), -1, 1], { into: "tries", positive: `${by}:untrack:again` }),
      mark(`${by}:untrack:over`),
    ],
  };
}
