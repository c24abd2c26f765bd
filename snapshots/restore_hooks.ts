import type { Fd } from "../ffi/fd.ts";
import { UnsupportedError } from "../runtime/errors.ts";
import type { Hooked } from "../runtime/image_of.ts";
import { EPOLLIN, reactor } from "../runtime/launch/reactor.ts";
import { runPoststartHooks, runPoststopHooks } from "../runtime/hooks.ts";
import { laterHooks } from "../runtime/lifecycle/hooks.ts";
import { moveDevices } from "../runtime/net_devices.ts";
import type { Prepared } from "../runtime/prepare.ts";
import type { HookName } from "../runtime/spec/config.ts";
import { hookState } from "../runtime/spec/state.ts";
import { runHooksNow } from "../runtime/supervise/hooks_now.ts";
import type { Images } from "./open_images.ts";

/**
 * The hooks around a restore, and the network devices that are moved before them. Loaded only where there are any. Those
 * that run inside of a container that is made, `createContainer` and `startContainer`, have run before its checkpoint: CRIU
 * brings back what they did, and its program does not begin. runc does not run them again either.
 */
export class RestoreHooks {
  readonly #hooked: Hooked;

  /** @throws {UnsupportedError} for what cannot be in a restore. */
  constructor(id: string, { spec, bundle }: Prepared, { manifest }: Images, isEmptied: boolean) {
    const { hooks = {}, annotations, linux } = spec;
    const { netDevices = {} } = linux ?? {};
    const isNew = isEmptied || manifest?.network === "made" || manifest?.network === "empty";
    if (Object.keys(netDevices).length > 0 && !isNew) {
      throw new UnsupportedError(
        "/linux/netDevices",
        "a restore brings the network back with the devices that it had",
        "checkpoint it with --empty-ns network",
      );
    }
    this.#hooked = { hooks, id, bundle, ...(annotations && { annotations }), netDevices };
  }

  /** Those that are still to come when it has been restored. */
  get later(): HookName[] {
    return laterHooks(this.#hooked.hooks);
  }

  /** When its namespaces are there and nothing is in them: CRIU waits for it, and so does this whole process. */
  beforeMounts(pid: number): void {
    const { hooks, netDevices = {} } = this.#hooked;
    if (Object.keys(netDevices).length > 0) moveDevices(netDevices, pid);
    const state = hookState(this.#hooked, "creating", pid);
    for (const kind of ["prestart", "createRuntime"] as const) runHooksNow(kind, hooks[kind], { state });
  }

  /** When it goes on. @throws {HookError} for the first that fails. */
  async afterStart(pid: number, process: Fd): Promise<void> {
    if (!this.#hooked.hooks.poststart?.length) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    using _watch = reactor.watch(process, EPOLLIN, () => resolve());
    await runPoststartHooks(this.#hooked, pid, promise);
  }

  /** When it did not come to be after all. */
  async afterEnd(): Promise<void> {
    await runPoststopHooks(this.#hooked);
  }
}
