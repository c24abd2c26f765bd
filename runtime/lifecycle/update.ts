import { changed } from "../cgroup/merge.ts";
import { updateGroup } from "../cgroup/update.ts";
import { UnsupportedError } from "../errors.ts";
import type { Resources } from "../spec/config.ts";
import { checkResources } from "../spec/resources.ts";
import { checkMove } from "../state/moves.ts";
import { groupsOf, type Known, lockContainer, specOf, type StoreOptions } from "./container.ts";
import { type CacheClass, updateCache } from "./resource_director.ts";
import { statusOf } from "./status.ts";

/** Options of {@linkcode updateContainer}. */
export interface UpdateOptions extends StoreOptions, CacheClass {}

/**
 * Changes limits of a container that is there and has not ended. Either all hold when this returns, or none was changed.
 * Later commands on the container go by them too.
 *
 * @param resources What is to change, as `linux.resources` of config.json; what is missing, 0 or empty stays.
 * @throws {LifecycleError} if there is no such container, or it has ended.
 * @throws {SpecError} if the limits mean nothing.
 * @throws {UnsupportedError} if this host cannot apply one.
 * @throws {SyscallError} if the kernel refuses one; the message names the file and the value.
 */
export async function updateContainer(
  id: string,
  resources: Resources,
  { l3CacheSchema, memBwSchema, ...options }: UpdateOptions = {},
): Promise<void> {
  checkResources(resources, "the new limits");
  using container = await lockContainer(id, options);
  checkMove("update", statusOf(container, true), id);
  const groups = groupsOf(container);
  if (groups.length === 0) {
    throw new UnsupportedError("an update", "the container has no cgroup", "create it as root");
  }
  const spec = await specOf(container);
  const intelRdt = updateCache(id, { l3CacheSchema, memBwSchema }, spec);
  const before = spec.linux?.resources ?? {};
  const { limits, resources: after } = changed(resources, before);
  checkResources(after, "what would hold with the new limits");
  await using scope = await updateScope(container, limits, before);
  try {
    const { resources: now, undo } = updateGroup(groups, resources, before);
    try {
      container.entry.writeSpec({
        ...spec,
        linux: { ...spec.linux, resources: now, ...(intelRdt && { intelRdt }) },
      });
    } catch (error) {
      undo();
      throw error;
    }
  } catch (error) {
    await scope?.undo();
    throw error;
  }
}

/** systemd has to know, or it would set its own values back one day. */
async function updateScope(
  { record: { unit, groups } }: Known,
  limits: Resources,
  before: Resources,
): Promise<Awaited<ReturnType<typeof import("./scope.ts").changeScope>> | undefined> {
  if (!unit) return undefined;
  const { changeScope } = await import("./scope.ts");
  const version = groups.some((each) => each.version === 1) ? 1 : 2;
  return await changeScope({ ...unit, version }, limits, before);
}
