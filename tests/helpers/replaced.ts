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

/** Puts another container in the place of one while nothing else of this process goes on. */
export function replaceAtOnce({ program, root, bundle }: Containers, id: string): void {
  for (const args of [["delete", "--force", id], ["create", id]]) {
    const { success } = new Deno.Command(program[0]!, {
      args: [...program.slice(1), "--root", root, ...args],
      cwd: bundle.path,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).outputSync();
    if (!success) throw new Error(`${args.join(" ")} failed`);
  }
}

/** Whether the one in its place can still be started; it is removed. */
export async function startReplaced(containers: Containers, id: string): Promise<string> {
  await containers.output("start", id);
  const status = await containers.status(id);
  await containers.output("delete", "--force", id);
  return status;
}
