import { Store } from "../../runtime/state/store.ts";
import type { Containers } from "./containers.ts";

/**
 * Puts another container in the place of one that a command attends: that hears of the end of its own only when the other
 * one is there.
 */
export async function replaceUnheard(
  containers: Containers,
  command: Deno.ChildProcess,
  id: string,
): Promise<void> {
  (await new Store(containers.root).lock(id))![Symbol.dispose](); // the command has let others at it
  command.kill("SIGSTOP");
  try {
    await containers.output("delete", "--force", id);
    await containers.output("create", id);
  } finally {
    command.kill("SIGCONT");
  }
}

/** Whether the one in its place can still be started; it is removed. */
export async function startReplaced(containers: Containers, id: string): Promise<string> {
  await containers.output("start", id);
  const status = await containers.status(id);
  await containers.output("delete", "--force", id);
  return status;
}
