import type { Hooked } from "./image_of.ts";
import { hookState } from "./spec/state.ts";
import { runAllHooks, runHooks } from "./supervise/hooks.ts";

/**
 * Moves network devices, then runs the hooks of `create` in the runtime's namespaces: init's are there, and it waits
 * before it changes its root.
 *
 * @param until The end of init: nobody needs the hooks then.
 * @throws {HookError} for the first that fails.
 */
export async function runCreateHooks(hooked: Hooked, pid: number, until?: Promise<unknown>): Promise<void> {
  if (Object.keys(hooked.netDevices ?? {}).length > 0) {
    const { moveDevices } = await import("./net_devices.ts");
    moveDevices(hooked.netDevices!, pid);
  }
  const state = hookState(hooked, "creating", pid);
  for (const kind of ["prestart", "createRuntime"] as const) {
    await runHooks(kind, hooked.hooks[kind], { state, ...(until && { until }) });
  }
}

/**
 * Runs the hooks behind the start of the program.
 *
 * @param until Ends the hook that runs.
 * @throws {HookError} for the first that fails.
 */
export async function runPoststartHooks(
  hooked: Hooked,
  pid: number,
  until?: Promise<unknown>,
): Promise<void> {
  const state = hookState(hooked, "running", pid);
  await runHooks("poststart", hooked.hooks.poststart, { state, ...(until && { until }) });
}

/** Runs the hooks behind the end of a sandbox; what is wrong with those that fail, which nobody can mend any more. */
export async function runPoststopHooks(hooked: Hooked): Promise<string[]> {
  return await runAllHooks("poststop", hooked.hooks.poststop, { state: hookState(hooked, "stopped", 0) });
}
