import { runContainer, UsageError } from "../mod.ts";
import type { Arguments, CommandHelp } from "./args.ts";
import { CREATE_FLAGS, createOptions, managerOf, notifySocket } from "./create.ts";
import type { Global } from "./main.ts";
import { warn } from "./report.ts";

/** Creates a container and starts it: it goes on without us. */
export async function runDetached(
  { flags }: CommandHelp,
  args: Arguments,
  global: Global,
): Promise<number> {
  const known = new Set([...CREATE_FLAGS.map(({ name }) => name), "detach", "keep", "no-subreaper"]);
  const other = flags.find(({ name }) => args.given(name) && !known.has(name));
  if (other) throw new UsageError(`Cannot use --${other.name} with --detach: it is not for containers`);
  const [id, ...more] = args.words;
  if (id === undefined || more.length > 0) {
    throw new UsageError(`Cannot run "${args.words.join(" ")}": --detach takes exactly one id`);
  }
  const { root } = global;
  const onWarning = (warning: string): void => warn(warning, global);
  const steps = global.debug && (await import("./debug.ts")).stepsOf(global);
  await runContainer(id, {
    ...createOptions(args, global),
    ...(root !== undefined && { root }),
    ...managerOf(global),
    ...steps,
    onWarning,
    notifySocket: notifySocket(),
  });
  return 0;
}
