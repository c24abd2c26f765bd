import { O, O_DIRECTORY } from "./abi.ts";
import type { Context } from "./context.ts";
import { AT_FDCWD, CLONE } from "./kernel.ts";
import { flags, mark, named, type Op, op, slot, type SlotValue, text, zeros } from "./op.ts";
import { GATE_FD } from "./protocol.ts";

/**
 * The launcher is there before the groups, so that a supervisor that dies while it makes them leaves none: they are
 * still empty then, and a group that is not is somebody else's.
 */
export function* awaitGroups({ groups = [], form }: Context): Iterable<Op> {
  // Those of a detached sandbox are there before the launcher, and written down.
  if (groups.length === 0 || form === "detached") return;
  const does = "wait until the cgroups are made";
  yield op(does, "read", [GATE_FD, zeros(8, "byte"), 1], {
    zero: "groups:orphaned",
    positive: "groups:made",
  });
  yield mark("groups:orphaned");
  for (const { directory } of groups) {
    const next = `orphaned:${directory}`;
    const remove = named("AT_REMOVEDIR", 0x200);
    yield op(`remove cgroup "${directory}"`, "unlinkat", [AT_FDCWD, directory, remove], { failed: next });
    yield mark(next);
  }
  yield op("end, the supervisor is gone", "exit_group", [1]);
  yield mark("groups:made");
}

/** Opens them, to the slots `<into>:0` and so on: by the launcher, whose rights count when init writes: a user namespace has none over these files. */
export function* openGroups(context: Context, into = "group"): Iterable<Op> {
  const { groups = [], arch } = context;
  const write = flags("O_", { WRONLY: O.WRONLY, CLOEXEC: O.CLOEXEC });
  const directory_ = flags("O_", { RDONLY: O.RDONLY, DIRECTORY: O_DIRECTORY[arch], CLOEXEC: O.CLOEXEC });
  for (const [index, { directory, version }] of groups.entries()) {
    const [file, how] = isBorn(context, version)
      ? [directory, directory_] as const
      : [`${directory}/cgroup.procs`, write];
    yield op(`open cgroup "${directory}"`, "openat", [AT_FDCWD, file, how, 0], { into: `${into}:${index}` });
  }
}

/** Whether the new process is born into a group of this version, and never has to be moved (clone(2)). */
function isBorn({ writesGroups }: Context, version: 1 | 2): boolean {
  return version === 2 && !writesGroups;
}

/** The group that the new process is born into, if there is one. */
export function birthGroup(context: Context): SlotValue | undefined {
  const index = context.groups?.findIndex(({ version }) => isBorn(context, version)) ?? -1;
  return index === -1 ? undefined : slot(`group:${index}`);
}

/**
 * Init moves itself into the groups that it is not born into, and nobody else: the guard stays outside. The cgroup
 * namespace comes afterwards, so that its root is the sandbox's own group: clone(2) would take the launcher's
 * (cgroup_namespaces(7)).
 */
export function* joinGroups(context: Context): Iterable<Op> {
  const { groups = [], namespace } = context;
  if (groups.length === 0) return;
  for (const [index, { directory, version }] of groups.entries()) {
    if (isBorn(context, version)) continue;
    yield op(`join cgroup "${directory}"`, "write", [slot(`group:${index}`), text("0"), 1]);
  }
  if (namespace("cgroup") === "new") {
    yield op("make a cgroup namespace", "unshare", [named("CLONE_NEWCGROUP", CLONE.NEWCGROUP)]);
  }
}
