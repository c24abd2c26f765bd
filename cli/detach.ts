import { deleteContainer, killContainer, startContainer, UsageError, waitForContainer } from "../mod.ts";
import type { Arguments, CommandHelp } from "./args.ts";
import { onSignals } from "./attach.ts";
import { CREATE_FLAGS, createFrom, managerOf, notifySocket } from "./create.ts";
import type { Global } from "./main.ts";
import { warn } from "./report.ts";

/**
 * Creates a container and starts it. With `--detach` it goes on without us; with `--keep` alone we wait for its end, and
 * it stays until it is deleted.
 */
export async function runContainer(
  { flags }: CommandHelp,
  args: Arguments,
  global: Global,
): Promise<number> {
  const known = new Set([...CREATE_FLAGS.map(({ name }) => name), "detach", "keep", "no-subreaper"]);
  const other = flags.find(({ name }) => args.given(name) && !known.has(name));
  const form = args.has("detach") ? "--detach" : "--keep";
  if (other) throw new UsageError(`Cannot use --${other.name} with ${form}: it is not for containers`);
  const [id, ...more] = args.words;
  if (id === undefined || more.length > 0) {
    throw new UsageError(`Cannot run "${args.words.join(" ")}": ${form} takes exactly one id`);
  }
  const { root } = global;
  const onWarning = (warning: string): void => warn(warning, global);
  const store = { ...(root !== undefined && { root }), onWarning };
  const pid = await createFrom(id, args, { ...store, ...managerOf(global) });
  const ended = args.has("detach") ? Promise.resolve(0) : waitForContainer(pid);
  using _signals = args.has("detach") ? undefined : onSignals((signal) => {
    void killContainer(id, signal, store).catch(() => {}); // it has ended
  });
  try {
    await startContainer(id, { ...store, notifySocket: notifySocket() });
  } catch (error) {
    await deleteContainer(id, { ...store, force: true });
    throw error;
  }
  return await ended;
}
