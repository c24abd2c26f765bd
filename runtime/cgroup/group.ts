import { LifecycleError, UsageError } from "../errors.ts";
import type { Resources } from "../spec/linux.ts";
import { applyAll } from "./_apply.ts";
import { checkFit } from "./_fit.ts";
import { restrictDevices } from "./_restrict_devices.ts";
import { type Controllers, delegate, directoryOf, makeGroup } from "./_make.ts";
import { type CgroupStats, readStats } from "./_stats.ts";
import { freeze, isEmpty, kill, letDie, signalAll, type Stoppable, thaw } from "./_stop.ts";
import { processes, read, removeGroup, tree, waitUntil } from "./_tree.ts";
import { cgroupWrites, type Hierarchy, type Write } from "./files.ts";

export type { CgroupStats } from "./_stats.ts";

/** Controllers that every group has where they are mounted: they count, and they stop. */
const USUAL = ["cpuacct", "freezer", "memory", "pids"];
const EMPTY_MS = 10_000;
/** After this long without success the processes are killed again. */
const ROUND_MS = 200;

interface Place {
  readonly hierarchy: Hierarchy;
  readonly directory: string;
}

/** Options of {@linkcode CgroupGroup.create}. */
export interface CreateGroupOptions {
  /** User id that the group is handed to, where version 2 is all there is: version 1 is not safe to hand out. */
  readonly owner?: number;
  /** Whether there is a group in every hierarchy and every controller is on, so that limits can be set later. */
  readonly complete?: boolean;
  /** Whether the group may be there already, if nothing is in it; then it stays when this one is disposed of. */
  readonly rejoin?: boolean;
  /** A process that is in it already, as it keeps it. */
  readonly holder?: number;
  /** Whether a directory that is there, and empty, was left by somebody of ours: then it goes with this one. */
  readonly isLeft?: (directory: string) => boolean;
}

/** A sandbox's cgroup: one directory in every hierarchy that it needs. Disposing kills all in it and removes it. */
export class CgroupGroup implements AsyncDisposable {
  readonly #places: Place[];
  /** Groups above it that were made for it, outermost first. */
  readonly #parents: readonly string[];
  /** Directories that were there before. */
  readonly #older: ReadonlySet<string>;

  private constructor(places: Place[], parents: readonly string[], older: ReadonlySet<string> = new Set()) {
    this.#places = places;
    this.#parents = parents;
    this.#older = older;
  }

  /**
   * Makes a new group with limits, or nothing at all.
   *
   * @param path Absolute: below the root of each hierarchy; relative: below the group of the calling process.
   * @param resources Limits, as `linux.resources` of config.json.
   * @param mounted The cgroup hierarchies of this host.
   * @throws {UnsupportedError} if this host cannot apply a limit.
   * @throws {LifecycleError} if there is such a group and it may not be there, or cannot be used.
   * @throws {SyscallError} if the kernel refuses a value.
   */
  static async create(
    path: string,
    resources: Resources,
    mounted: readonly Hierarchy[],
    { owner, complete = false, rejoin = false, holder, isLeft = () => false }: CreateGroupOptions = {},
  ): Promise<CgroupGroup> {
    checkPath(path);
    const hierarchies = withControllers(mounted);
    const writes = cgroupWrites(resources, hierarchies);
    const places: Place[] = [];
    const made: string[] = [];
    const older = new Set<string>();
    await using stack = new AsyncDisposableStack();
    const group = new CgroupGroup(places, made, older);
    stack.use(group);
    const found: Place[] = []; // not ours before it is known that nothing is in it
    for (const hierarchy of hierarchies.filter((each) => complete || isNeeded(each, writes))) {
      const controllers = controllersFor(hierarchy, writes, complete);
      const directory = makeGroup(hierarchy, path, { controllers, rejoin }, made);
      const at = made.indexOf(directory);
      (at === -1 ? found : places).push({ hierarchy, directory });
      if (at !== -1) made.splice(at, 1);
    }
    if (rejoin) {
      const all = new CgroupGroup([...places, ...found], []).#stoppable;
      checkFit({ ...all, directories: found.map(({ directory }) => directory) }, holder); // what was made is empty
    }
    const others = found.filter(({ directory }) => !isLeft(directory));
    others.flatMap(({ directory }) => tree(directory)).forEach((each) => older.add(each));
    places.push(...found);
    applyAll(writes.map((one) => {
      return {
        one,
        directory: places.find(({ hierarchy }) => hierarchy.mountPoint === one.mountPoint)!.directory,
      };
    }));
    const directories = places.map(({ hierarchy, directory }) => ({ ...hierarchy, directory }));
    restrictDevices(directories, resources.devices ?? [], found.length > 0);
    if (owner !== undefined && places.every(({ hierarchy }) => hierarchy.version === 2)) {
      for (const { directory } of places) delegate(directory, owner);
    }
    stack.move();
    return group;
  }

  /**
   * The group that somebody made, such as an earlier run of this program; disposing removes it, but none above it.
   *
   * @param path As it was given to `create`; also that of a group that has gone.
   * @param mounted The cgroup hierarchies of this host.
   */
  static open(path: string, mounted: readonly Hierarchy[]): CgroupGroup {
    checkPath(path);
    const places = withControllers(mounted).map((hierarchy) => ({
      hierarchy,
      directory: directoryOf(hierarchy, path),
    }));
    const ours = places.filter(({ hierarchy, directory }) => {
      return !hierarchy.controllers.startsWith("name=") && tree(directory).length > 0;
    });
    return new CgroupGroup(ours, []);
  }

  /**
   * The group that was written down by another command; disposing removes it, and those above it that were made for it.
   *
   * @param groups Its directories, each with the controllers of its hierarchy; some may be missing.
   * @param parents Groups above it, outermost first.
   */
  static restore(
    groups: readonly (Pick<Hierarchy, "version" | "controllers"> & { readonly directory: string })[],
    parents: readonly string[],
  ): CgroupGroup {
    const places = groups.map(({ directory, version, controllers }) => {
      return { directory, hierarchy: { version, controllers, mountPoint: directory, own: "/" } };
    });
    return new CgroupGroup(places, parents);
  }

  /** The controllers of version 2 that `resources` takes. */
  static controllersFor(resources: Resources, mounted: readonly Hierarchy[]): string[] {
    const hierarchies = withControllers(mounted);
    const writes = cgroupWrites(resources, hierarchies);
    return hierarchies.filter(({ version }) => version === 2).flatMap((each) => {
      return controllersFor(each, writes).needed;
    });
  }

  /** The directories that {@linkcode CgroupGroup.create} would make, without making them. */
  static directoriesFor(
    path: string,
    resources: Resources,
    mounted: readonly Hierarchy[],
    { complete = false }: Pick<CreateGroupOptions, "complete"> = {},
  ): { readonly directory: string; readonly version: 1 | 2 }[] {
    checkPath(path);
    const hierarchies = withControllers(mounted);
    const writes = cgroupWrites(resources, hierarchies);
    return hierarchies.filter((each) => complete || isNeeded(each, writes)).map((each) => {
      return { directory: directoryOf(each, path), version: each.version };
    });
  }

  /** Its directories: who writes `0` to `cgroup.procs` in each of them has joined it. */
  get directories(): string[] {
    return this.#places.map(({ directory }) => directory);
  }

  /** Whether its freezer is that of version 1, which keeps those that are killed until it lets them go. */
  get holdsTheKilled(): boolean {
    return this.#stoppable.freezer !== undefined;
  }

  /** Whether no process is left in it or in a group below. */
  get empty(): boolean {
    return isEmpty(this.#stoppable);
  }

  /**
   * Refuses what a new container cannot be put in; one that is not there yet is fit.
   *
   * @param holder A process that may be in it.
   * @throws {LifecycleError} if there are others in it, or it is frozen.
   */
  checkFit(holder?: number): void {
    checkFit(this.#stoppable, holder);
  }

  /** The processes in it and in the groups below, each once. */
  get members(): number[] {
    const pids = this.directories.flatMap(tree).flatMap(processes).filter((pid) => pid > 0);
    return [...new Set(pids)].sort((a, b) => a - b);
  }

  /** Sends a signal to every process in it; nobody escapes by forking meanwhile where the group can be frozen. */
  async signal(number: number): Promise<void> {
    await signalAll(this.#stoppable, number);
  }

  /** Its processes that wait in the kernel and cannot be killed (state D of proc_pid_stat(5)), as `process 7 (dd)`. */
  get stuck(): string[] {
    const pids = this.directories.flatMap(tree).flatMap(processes);
    return [...new Set(pids)].flatMap((pid) => {
      const [, name, state] = /\((.*)\) (.) /s.exec(read(`/proc/${pid}/stat`) ?? "") ?? [];
      return state === "D" ? [`process ${pid} (${name})`] : [];
    });
  }

  /** What it has used so far. */
  stats(): CgroupStats {
    return readStats((controller) => {
      const place = this.#find(controller);
      return place && { directory: place.directory, version: place.hierarchy.version };
    }, this.#stoppable.unified);
  }

  /**
   * Stops every process in it, and returns when they stand still.
   *
   * @throws {UnsupportedError} if no mounted hierarchy can.
   */
  async freeze(): Promise<void> {
    await freeze(this.#stoppable);
  }

  /** Lets its processes go on. */
  thaw(): void {
    thaw(this.#stoppable);
  }

  /** Lets its processes go on to their end when the first was killed, even if a group above is frozen. */
  letDie(): void {
    letDie(this.#stoppable);
  }

  /** Kills every process in it and in the groups below; `empty` tells when they have gone. */
  async kill(): Promise<void> {
    await kill(this.#stoppable);
  }

  /**
   * Kills all that is in it, waits for the end, and removes it; harmless the second time.
   *
   * @throws {LifecycleError} if processes or groups are still left after 10 s.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const end = performance.now() + EMPTY_MS;
    while (!this.#removeEmpty() && (!this.empty || !(await waitUntil(() => this.#remove(), ROUND_MS)))) {
      if (performance.now() > end) {
        const left = this.directories.flatMap(tree).map((each) => `"${each}"`).join(", ");
        const who = this.stuck;
        const why = who.length === 0
          ? "they are still in use"
          : `${who.join(", ")} waits in the kernel, where it cannot be killed`;
        throw new LifecycleError(`Cannot remove the cgroups ${left}: ${why}`);
      }
      await this.kill();
      await waitUntil(() => this.empty, ROUND_MS);
    }
    // Those that others use by now stay.
    for (const directory of this.#parents.toReversed()) removeGroup(directory);
  }

  /** Whether all are gone without a look at what is in them: the kernel removes none in which anything is. */
  #removeEmpty(): boolean {
    try {
      return this.#older.size === 0 && this.directories.every(removeGroup);
    } catch {
      return false; // it is said when all in them has been killed
    }
  }

  /** Whether all are gone; a group stays busy for a moment after its last process. */
  #remove(): boolean {
    const ours = this.directories.flatMap(tree).filter((each) => !this.#older.has(each));
    return ours.map(removeGroup).every((gone) => gone);
  }

  #find(controller: string): Place | undefined {
    return this.#places.find(({ hierarchy }) => hierarchy.controllers.split(",").includes(controller));
  }

  get #stoppable(): Stoppable {
    return {
      directories: this.directories,
      unified: this.#places.find(({ hierarchy }) => hierarchy.version === 2)?.directory,
      freezer: this.#find("freezer")?.directory,
    };
  }
}

/** Version 2 does not name its controllers when it is mounted: the root lists what version 1 has left it. */
function withControllers(mounted: readonly Hierarchy[]): Hierarchy[] {
  return mounted.map((each) => {
    if (each.version === 1) return each;
    const listed = read(`${each.mountPoint}/cgroup.controllers`) ?? "";
    return { ...each, controllers: listed.split(" ").join(",") };
  });
}

function checkPath(path: string): void {
  const names = path.split("/").filter((name) => name !== "");
  if (names.length > 0 && names.every((name) => name !== "." && name !== ".." && !name.includes("\n"))) {
    return;
  }
  throw new UsageError(`Cannot use cgroup "${path}": it names no group of its own`);
}

function isNeeded({ version, controllers, mountPoint }: Hierarchy, writes: readonly Write[]): boolean {
  return version === 2 || controllers.split(",").some((each) => USUAL.includes(each)) ||
    writes.some((one) => one.mountPoint === mountPoint);
}

function controllersFor(
  { version, controllers, mountPoint }: Hierarchy,
  writes: readonly Write[],
  complete = false,
): Controllers {
  if (version === 1) return { needed: [], wanted: [] };
  const files = writes.filter((one) => one.mountPoint === mountPoint).map(({ file }) => file.split(".")[0]!);
  const all = controllers.split(",").filter((each) => each !== "");
  const wanted = complete ? all : ["cpu", ...USUAL].filter((each) => all.includes(each));
  return { needed: [...new Set(files)].filter((each) => each !== "cgroup"), wanted };
}
