import { CgroupGroup } from "../cgroup/group.ts";
import { hold } from "../state/liveness.ts";
import { RecordError, salvageInit } from "../state/record.ts";
import type { Entry, Store } from "../state/store.ts";
import { end, endWaiting } from "./end.ts";
import { markedGroups } from "./marks.ts";

/**
 * Removes a container whose record nobody can go by, with all that is known to be its own by other signs; anything else
 * is left alone.
 */
export async function salvage(
  store: Store,
  id: string,
  onWarning: (what: string) => void,
  isMeant?: (entry: Entry) => boolean,
): Promise<void> {
  let locked: Entry | undefined;
  try {
    locked = await store.lock(id, { free: async (entry) => void await endRemains(entry), isMeant });
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    if (isMeant) return; // whose it is cannot be told
    store.discard(id);
    return onWarning("it was no directory, and is removed");
  }
  using entry = locked;
  if (!entry) return;
  const ended = await endRemains(entry);
  entry.remove();
  onWarning(`removed it, and what was marked as its own: ${ended.join(", ") || "nothing was left"}`);
}

/**
 * Ends what is a container's by signs that nothing else has: cgroups by their marks, the first process by its name in
 * what is left of the record, or by the start gate that it has open.
 *
 * @returns What was there.
 */
export async function endRemains(entry: Entry): Promise<string[]> {
  const ended: string[] = [];
  const { groups, parents } = markedGroups(entry);
  if (groups.length > 0 || parents.length > 0) {
    await CgroupGroup.restore(groups, parents)[Symbol.asyncDispose]();
    ended.push(...groups.map(({ directory }) => directory));
  }
  const init = salvageInit(entry.remains);
  using fd = init && hold(init);
  if (init && fd) {
    await end(fd, `${init.pid}`);
    ended.push(`process ${init.pid}`);
  }
  await endWaiting(entry);
  return ended;
}
