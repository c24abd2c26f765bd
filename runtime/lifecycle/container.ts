import { CgroupGroup } from "../cgroup/group.ts";
import { LifecycleError } from "../errors.ts";
import { cgroups } from "../host/probe.ts";
import type { Spec } from "../spec/config.ts";
import { isAlive, isSame } from "../state/liveness.ts";
import { type ProcessName, type Record, RecordError, salvageInit, unreadable } from "../state/record.ts";
import { type Entry, Store } from "../state/store.ts";
import { withoutOthers } from "./marks.ts";

/** Where containers are kept. */
export interface StoreOptions {
  /** The directory of all records. @default for root `/run/ai-sandbox/containers` */
  readonly root?: string | undefined;
}

/** Which container is meant. */
export interface ChoiceOptions extends StoreOptions {
  /** Its first process: another container that has got its name meanwhile is not meant. @default any of that name */
  readonly init?: ProcessName | undefined;
}

/** What is said of a name that no container has; engines know these words. */
export function noContainer(): LifecycleError {
  return new LifecycleError("container does not exist");
}

/** A container with its record, held open. */
export interface Known extends Disposable {
  readonly entry: Entry;
  readonly record: Record;
}

/** What tells the container with that first process from another one of its name; nothing if any is meant. */
export function isWith(init: ProcessName | undefined): ((entry: Entry) => boolean) | undefined {
  if (!init) return undefined;
  return (entry) => {
    const found = initOf(entry);
    return found !== undefined && isSame(found, init);
  };
}

function initOf(entry: Entry): ProcessName | undefined {
  try {
    return entry.read()?.init;
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    return salvageInit(entry.remains);
  }
}

/**
 * A container as it is now.
 *
 * @throws {LifecycleError} if there is none.
 */
export function findContainer(id: string, { root, init }: ChoiceOptions): Known {
  const container = known(new Store(root).find(id));
  const found = container.record.init;
  if (!init || (found && isSame(found, init))) return container;
  container[Symbol.dispose]();
  throw noContainer();
}

/**
 * A container that no other command changes until it is disposed of.
 *
 * @throws {LifecycleError} if there is none, or another command keeps it.
 */
export async function lockContainer(id: string, { root, init }: ChoiceOptions): Promise<Known> {
  return known(await new Store(root).lock(id, { isMeant: isWith(init) }));
}

function known(entry: Entry | undefined): Known {
  if (!entry) throw noContainer();
  using stack = new DisposableStack();
  stack.use(entry);
  const record = entry.read();
  if (!record) throw noContainer();
  const kept = stack.move();
  return { entry, record, [Symbol.dispose]: () => kept.dispose() };
}

/**
 * The config.json that a container was made from, as it was then.
 *
 * @throws {LifecycleError} if nobody can go by it.
 */
export async function specOf({ entry }: Pick<Known, "entry">): Promise<Spec> {
  const text = entry.readSpec();
  const { parseSpec } = await import("../spec/validate.ts"); // not all commands need it
  try {
    return parseSpec(text, `${entry.path}/config.json`);
  } catch (error) {
    throw unreadable(`${entry.path}/config.json`, error instanceof Error ? error.message : String(error));
  }
}

/**
 * The cgroup of a container, as it was written down.
 *
 * @throws {LifecycleError} if the record names what is no cgroup: it is not touched.
 */
export function groupOf(container: Pick<Known, "entry" | "record">): CgroupGroup {
  return CgroupGroup.restore(groupsOf(container), container.record.parents);
}

/**
 * The directories of the cgroup of a container, as they were written down: those that are not another one's by now.
 *
 * @throws {LifecycleError} if the record names what is no cgroup.
 */
export function groupsOf({ entry, record }: Pick<Known, "entry" | "record">): Record["groups"] {
  const read = (file: string): string => Deno.readTextFileSync(`/proc/self/${file}`);
  const mounted = cgroups(read("mountinfo"), read("cgroup"));
  const roots = mounted.map(({ mountPoint }) => `${mountPoint}/`);
  for (const path of [...record.groups.map(({ directory }) => directory), ...record.parents]) {
    if (roots.some((each) => path.startsWith(each))) continue;
    throw unreadable(`${entry.path}/record.json`, `"${path}" is no cgroup`);
  }
  const { init, groups } = record;
  // As long as its first process lives no other container comes into them.
  return init && isAlive(init) ? groups : withoutOthers(entry, groups);
}
