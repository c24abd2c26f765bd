import { O, O_DIRECTORY } from "./abi.ts";
import type { Context } from "./context.ts";
import { AT_FDCWD, CLONE } from "./kernel.ts";
import { flags, named, type Op, op, slot, type SlotValue, text } from "./op.ts";

/** Opened by the launcher, whose rights count when init writes: a user namespace has none over these files. */
export function* openGroups({ groups = [], arch }: Context): Iterable<Op> {
  const write = flags("O_", { WRONLY: O.WRONLY, CLOEXEC: O.CLOEXEC });
  const directory_ = flags("O_", { RDONLY: O.RDONLY, DIRECTORY: O_DIRECTORY[arch], CLOEXEC: O.CLOEXEC });
  for (const [index, { directory, version }] of groups.entries()) {
    const [file, how] = version === 2
      ? [directory, directory_] as const
      : [`${directory}/cgroup.procs`, write];
    yield op(`open cgroup "${directory}"`, "openat", [AT_FDCWD, file, how, 0], { into: `group:${index}` });
  }
}

/** The group of version 2, if there is one: init is born into it, and never has to be moved (clone(2)). */
export function birthGroup({ groups = [] }: Pick<Context, "groups">): SlotValue | undefined {
  const index = groups.findIndex(({ version }) => version === 2);
  return index === -1 ? undefined : slot(`group:${index}`);
}

/**
 * Init moves itself into the groups of version 1, and nobody else: the guard stays outside. The cgroup namespace comes
 * afterwards, so that its root is the sandbox's own group: clone(2) would take the launcher's (cgroup_namespaces(7)).
 */
export function* joinGroups({ groups = [], namespace }: Context): Iterable<Op> {
  if (groups.length === 0) return;
  for (const [index, { directory, version }] of groups.entries()) {
    if (version === 2) continue;
    yield op(`join cgroup "${directory}"`, "write", [slot(`group:${index}`), text("0"), 1]);
  }
  if (namespace("cgroup") === "new") {
    yield op("make a cgroup namespace", "unshare", [named("CLONE_NEWCGROUP", CLONE.NEWCGROUP)]);
  }
}
