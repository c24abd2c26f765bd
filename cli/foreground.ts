import { AttachedContainer, isTerminal, terminalSize } from "../mod.ts";
import { type Arguments } from "./args.ts";
import { attachTerminal, forwardSignals } from "./attach.ts";
import { CREATE_FLAGS, createOptions, managerOf, notifySocket } from "./create.ts";
import type { Global } from "./main.ts";
import { warn } from "./report.ts";

/** What a container takes that the command stays with. */
const FLAGS = new Set([...CREATE_FLAGS.map(({ name }) => name), "keep", "no-subreaper"]);
FLAGS.delete("console-socket"); // the terminal is ours

/** Whether the flags are all runc's: then it is a container that other commands know. */
export function isContainer(args: Arguments, flags: readonly { readonly name: string }[]): boolean {
  return flags.every(({ name }) => FLAGS.has(name) || !args.given(name));
}

/** Makes a container, starts it, waits for its end and removes it. */
export async function runForeground(id: string, args: Arguments, global: Global): Promise<number> {
  const { root } = global;
  const onWarning = (warning: string): void => warn(warning, global);
  const { consoleSocket: _, ...options } = createOptions(args, global);
  const starting = AttachedContainer.create(id, {
    ...options,
    ...managerOf(global),
    ...(root !== undefined && { root }),
    onWarning,
    ...(global.debug && (await import("./debug.ts")).stepsOf(global)),
    keep: args.has("keep"),
    notifySocket: notifySocket(),
  });
  using _signals = forwardSignals(starting);
  await using container = await starting;
  const { terminal } = container;
  if (terminal && isTerminal(1)) terminal.resize(terminalSize(1));
  // Its terminal is ours before the program is ready, which may be said to whoever waits for it at NOTIFY_SOCKET.
  await using _terminal = terminal && attachTerminal(terminal, () => void container.deliver("SIGHUP"));
  await container.start();
  return await container.wait();
}
