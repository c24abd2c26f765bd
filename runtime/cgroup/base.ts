import { read } from "./_tree.ts";
import type { Hierarchy } from "./hierarchy.ts";

/** The group below a delegated one that its processes are moved to, so that it can pass controllers on. */
export const CALLERS = "ai-sandbox-callers";

/**
 * The group of version 2 that a sandbox's group is made in, from the hierarchy's root: the caller's own where that can
 * be, for it keeps to the caller's limits too. Only groups without processes can pass controllers on (cgroup-v2.rst, "No
 * Internal Process Constraint"): so root takes the one above, as runc does, and anybody else moves what is in its own.
 */
export function baseOf({ mountPoint, own }: Hierarchy, privileged: boolean): string {
  const above = own.slice(0, own.lastIndexOf("/")) || "/";
  if (own.endsWith(`/${CALLERS}`)) return above;
  const directory = `${mountPoint}${own}`;
  const passesOn = (read(`${directory}/cgroup.subtree_control`) ?? "") !== "";
  const isBusy = (read(`${directory}/cgroup.procs`) ?? "") !== "";
  return privileged && own !== "/" && isBusy && !passesOn ? above : own;
}

/** The hierarchies with the group that a new one is made in as the caller's own. */
export function withBases<Each extends Hierarchy>(mounted: readonly Each[], privileged: boolean): Each[] {
  return mounted.map((each) => each.version === 2 ? { ...each, own: baseOf(each, privileged) } : each);
}

/**
 * Why a user without rights cannot make groups with `controllers` there; nothing if that can be done.
 *
 * @param mountinfo /proc/self/mountinfo
 */
export function undelegated(
  hierarchies: readonly Hierarchy[],
  { controllers, uid, mountinfo }: {
    readonly controllers: readonly string[];
    readonly uid: number;
    readonly mountinfo: string;
  },
): string | undefined {
  const unified = hierarchies.find(({ version }) => version === 2);
  if (unified === undefined) return "no cgroup v2 is mounted, and version 1 is root's alone";
  if (hierarchies.some(({ version, controllers }) => version === 1 && !controllers.startsWith("name="))) {
    return "the controllers here are those of cgroup v1, which is root's alone";
  }
  const directory = `${unified.mountPoint}${baseOf(unified, false)}`.replace(/\/$/, "");
  const files = [directory, `${directory}/cgroup.procs`, `${directory}/cgroup.subtree_control`];
  if (!files.every((file) => isOwn(file, uid))) return `this user may not make cgroups in "${directory}"`;
  const given = (read(`${directory}/cgroup.controllers`) ?? "").split(" ");
  const lacking = controllers.filter((each) => !given.includes(each));
  if (lacking.length > 0) return `"${directory}" was not given the controllers ${lacking.join(", ")}`;
  // Its groups belong to the user whom the program's root stands for: only this option keeps their limits from it.
  const line = mountinfo.split("\n").find((each) => each.includes(` ${unified.mountPoint} `)) ?? "";
  if (/\bnsdelegate\b/.test(line)) return undefined;
  return `"${unified.mountPoint}" is mounted without nsdelegate, so that a program could lift its own limits`;
}

function isOwn(path: string, uid: number): boolean {
  try {
    return Deno.statSync(path).uid === uid;
  } catch {
    return false;
  }
}
