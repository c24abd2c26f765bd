import { hold } from "../state/liveness.ts";
import { checkMove } from "../state/moves.ts";
import { RecordError, unreadable } from "../state/record.ts";
import { type Entry, Store } from "../state/store.ts";
import { type ChoiceOptions, groupOf, groupsOf, isWith, type Known, noContainer } from "./container.ts";
import { end, endWaiting } from "./end.ts";
import { statusOf } from "./status.ts";

/** Options of {@linkcode deleteContainer}. */
export interface DeleteOptions extends ChoiceOptions {
  /** Also one that runs; one that is not there is none to be deleted. */
  readonly force?: boolean;
  /** Hears what is wrong with hooks that fail. */
  readonly onWarning?: (warning: string) => void;
}

/**
 * Removes a container with everything that was made for it, in whatever state it was left; when this returns, nothing
 * of it is there. One that a killed command left half made is removed as well.
 *
 * @throws {LifecycleError} if there is none, or it runs, and it is not forced; or a process cannot be ended.
 */
export async function deleteContainer(
  id: string,
  { force = false, onWarning, root, init }: DeleteOptions = {},
): Promise<void> {
  const store = new Store(root);
  const isMeant = isWith(init);
  if (!force) return await remove(await store.lock(id, { isMeant }), { id, force, onWarning });
  try {
    await remove(await store.lock(id, { free: endStuck, isMeant }), { id, force, onWarning });
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    const { salvage } = await import("./salvage.ts");
    const hear = (what: string): void => onWarning?.(`${error.message.split("; what is left")[0]}; ${what}`);
    await salvage(store, id, hear, isMeant);
  }
}

async function remove(
  known: Entry | undefined,
  { id, force, onWarning }: {
    readonly id: string;
    readonly force: boolean;
    readonly onWarning: DeleteOptions["onWarning"] | undefined;
  },
): Promise<void> {
  using entry = known;
  const record = entry?.read();
  if (!record && !force) throw noContainer();
  if (!entry) return;
  if (record) {
    const container = { entry, record };
    if (!force) checkMove("delete", statusOf(container, true), id);
    await destroy(container);
    await runPoststop(container, onWarning);
  } else {
    // It was killed before it did anything, unless somebody has removed the record.
    const { endRemains } = await import("./salvage.ts");
    await endRemains(entry);
  }
  entry.remove();
}

/** Removes a container that the caller has the lock of. */
export async function deleteLocked(
  container: Known,
  { onWarning }: Pick<DeleteOptions, "onWarning"> = {},
): Promise<void> {
  await destroy(container);
  await runPoststop(container, onWarning);
  container.entry.remove();
}

async function runPoststop(
  container: Pick<Known, "entry" | "record">,
  onWarning: DeleteOptions["onWarning"],
): Promise<void> {
  if (!container.record.hooks?.length) return;
  const { poststop } = await import("./hooks.ts");
  for (const warning of await poststop(container)) onWarning?.(warning);
}

async function destroy(container: Pick<Known, "entry" | "record">): Promise<void> {
  const { unit, groups } = container.record;
  const isItsUnit = unit && groupsOf(container).length === groups.length;
  await endAll(container);
  if (isItsUnit) await (await import("./scope.ts")).stopScope(unit);
}

async function endAll(container: Pick<Known, "entry" | "record">): Promise<void> {
  const { record } = container;
  await using _group = record.groups.length > 0 ? groupOf(container) : undefined;
  await endInit(container);
  if (record.network) {
    await (await (await import("../network.ts")).networkProvider()).disconnect(record.network);
  }
  if (record.resctrl?.length) (await import("../rdt.ts")).removeRdt(resctrlOf(container));
}

/** @throws {LifecycleError} if the record names what is not in resctrl: it is not touched. */
function resctrlOf({ entry, record }: Pick<Known, "entry" | "record">): readonly string[] {
  const own = record.resctrl ?? [];
  const mounts = Deno.readTextFileSync("/proc/self/mountinfo").matchAll(
    /^\S+ \S+ \S+ \S+ (\S+) .* - resctrl /gm,
  );
  const roots = [...mounts].map(([, path]) => `${path}/`);
  const wrong = own.find((path) => !roots.some((root) => path.startsWith(root)));
  if (wrong === undefined || roots.length === 0) return roots.length === 0 ? [] : own;
  throw unreadable(`${entry.path}/record.json`, `"${wrong}" is not in resctrl`);
}

async function endInit(container: Pick<Known, "entry" | "record">): Promise<void> {
  const { entry, record } = container;
  if (!record.init) return await endWaiting(entry);
  using fd = hold(record.init);
  if (!fd) return;
  await end(fd, `${record.init.pid}`, () => {
    if (record.groups.length > 0) groupOf(container).letDie();
  });
}

/** Ends what another command may wait for that does not come to an end, such as `start` for a hook. */
async function endStuck(entry: Entry): Promise<void> {
  try {
    const record = entry.read();
    if (record) await endInit({ entry, record });
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    const { endRemains } = await import("./salvage.ts");
    await endRemains(entry);
  }
}
