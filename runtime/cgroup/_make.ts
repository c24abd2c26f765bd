import { SyscallError } from "../../ffi/errno.ts";
import { LifecycleError, UnsupportedError } from "../errors.ts";
import { EBUSY, ENOENT, processes, read, write } from "./_tree.ts";
import { CALLERS } from "./base.ts";
import type { Hierarchy } from "./hierarchy.ts";

/** How often a parent may be removed by somebody else while we make a group below it. */
const TRIES = 5;
const [ESRCH, EINVAL] = [3, 22];

/** The controllers that the groups of version 2 are to have. */
export interface Controllers {
  /** For what config.json asks for. */
  readonly needed: readonly string[];
  /** For accounting: without them there are fewer figures. */
  readonly wanted: readonly string[];
}

/** Where the group `path` is in a hierarchy: below its root, or below our own group if the path is relative. */
export function directoryOf({ mountPoint, own }: Hierarchy, path: string): string {
  return mountPoint + names(own, path).map((name) => `/${name}`).join("");
}

function names(own: string, path: string): string[] {
  return (path.startsWith("/") ? path : `${own}/${path}`).split("/").filter((name) => name !== "");
}

/** Options of {@linkcode makeGroup}. */
export interface MakeOptions {
  readonly controllers: Controllers;
  /** Whether the group itself may be there already. */
  readonly rejoin: boolean;
}

/**
 * Makes a group and, where they are missing, the groups above it; each one made is added to `made` at once.
 *
 * @throws {LifecycleError} if the group is there already and may not be.
 */
export function makeGroup(
  hierarchy: Hierarchy,
  path: string,
  options: MakeOptions,
  made: string[],
): string {
  const steps = names(hierarchy.own, path);
  for (let tries = 1;; tries++) {
    try {
      return makeSteps(hierarchy, steps, options, made);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound) || tries === TRIES) throw error;
    }
  }
}

function makeSteps(
  { version, controllers: all, mountPoint, own }: Hierarchy,
  steps: readonly string[],
  { controllers, rejoin }: MakeOptions,
  made: string[],
): string {
  let directory = mountPoint;
  const ownDirectory = own === "/" ? mountPoint : `${mountPoint}${own}`;
  for (const [index, name] of steps.entries()) {
    const parent = directory;
    directory = `${parent}/${name}`;
    const isNew = makeDirectory(directory);
    if (isNew) made.push(directory);
    else if (index === steps.length - 1 && !rejoin) {
      throw new LifecycleError(`Cannot create cgroup "${directory}": there is one already`);
    }
    if (version === 2) enable(parent, controllers, parent === ownDirectory);
    else if (all.split(",").includes("cpuset")) inheritCpuset(parent, directory);
  }
  return directory;
}

/** Whether the directory is new. */
function makeDirectory(directory: string): boolean {
  try {
    Deno.mkdirSync(directory, { mode: 0o755 });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    throw new UnsupportedError(`cgroup "${directory}"`, "this user may not make it", "take another path");
  }
}

/** Gives the groups below `parent` their controllers; if it `isOwn`, its processes make room for that. */
function enable(parent: string, { needed, wanted }: Controllers, isOwn: boolean): void {
  const file = `${parent}/cgroup.subtree_control`;
  const enabled = (read(file) ?? "").split(" ");
  const missing = [...new Set([...needed, ...wanted])].filter((each) => !enabled.includes(each));
  if (missing.length > 0 && isBusy(parent)) {
    // Some controllers would be passed on all the same, and no process could join the groups below any more.
    if (isOwn) makeRoom(parent);
    else {
      const controller = missing.find((each) => needed.includes(each));
      if (controller !== undefined) throw busy(controller, parent);
      return;
    }
  }
  for (const controller of missing) {
    try {
      write(file, `+${controller}`, `enable controller "${controller}" in`);
    } catch (error) {
      if (!needed.includes(controller)) continue;
      throw error instanceof SyscallError ? explained(error, controller, parent) : error;
    }
  }
}

/** Whether a group has processes of its own; the root of all, which has no type, may have some. */
function isBusy(directory: string): boolean {
  return read(`${directory}/cgroup.type`) !== undefined && processes(directory).length > 0;
}

/** Moves the processes of a group to one below it. */
function makeRoom(directory: string): void {
  const below = `${directory}/${CALLERS}`;
  makeDirectory(below);
  for (let tries = 1; tries <= TRIES; tries++) {
    const pids = processes(directory);
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        write(`${below}/cgroup.procs`, String(pid), "move a process to");
      } catch (error) {
        if (!(error instanceof SyscallError) || error.errno !== ESRCH) throw error;
      }
    }
  }
}

function explained(error: SyscallError, controller: string, parent: string): Error {
  if (error.errno === EBUSY) return busy(controller, parent);
  // ENOENT here means that the group above did not pass it on.
  if (error.errno !== ENOENT && error.errno !== EINVAL) return error;
  return new UnsupportedError(limitBelow(parent, controller), "that group was not given the controller");
}

/** cgroup-v2.rst, "No Internal Process Constraint" */
function busy(controller: string, parent: string): UnsupportedError {
  const reason = "that group has processes of its own, and only groups without can pass controllers on";
  const remedy = "move its processes to a group below, or take another path";
  return new UnsupportedError(limitBelow(parent, controller), reason, remedy);
}

function limitBelow(parent: string, controller: string): string {
  return `a limit of cgroup controller "${controller}" below "${parent}"`;
}

/** A new cpuset of version 1 is empty, and no process can join it so (cpuset(7)). */
function inheritCpuset(parent: string, directory: string): void {
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    if (read(`${directory}/${file}`) === "") {
      write(`${directory}/${file}`, read(`${parent}/${file}`) ?? "", "inherit");
    }
  }
}

/** Hands a group of version 2 to another user (config-linux.md, "Cgroup ownership"). */
export function delegate(directory: string, uid: number): void {
  const files = read("/sys/kernel/cgroup/delegate")?.split("\n") ??
    ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];
  Deno.chownSync(directory, uid, null);
  for (const file of files) {
    try {
      Deno.chownSync(`${directory}/${file}`, uid, null);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // not every group has each
    }
  }
}
