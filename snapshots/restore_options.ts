import { UnsupportedError, UsageError } from "../runtime/errors.ts";
import type { NetworkOptions } from "../runtime/network.ts";
import { hasSelinux } from "../runtime/security_modules.ts";
import type { Prepared } from "../runtime/prepare.ts";
import type { Spec } from "../runtime/spec/config.ts";
import type { CriuOptions } from "./options.ts";
import type { LazyOption } from "./pager/option.ts";

/** Options of {@linkcode restoreContainer}. */
export interface RestoreOptions extends CriuOptions, LazyOption {
  /** Directory of the bundle: its config.json decides what the container may do. @default the working directory */
  readonly bundle?: string | undefined;
  /** Path of the Unix socket that gets the terminal, if the program has one; without it the caller must stay with it. */
  readonly consoleSocket?: string | undefined;
  /** The caller goes away. @default {false} */
  readonly detach?: boolean;
  /** Another AppArmor profile or SELinux label, as `apparmor:NAME`. */
  readonly lsmProfile?: string | undefined;
  /** Another SELinux context of mounts. */
  readonly lsmMountContext?: string | undefined;
  /**
   * How far to fall back where the whole of it cannot be restored: `light` begins its program anew with its files and
   * environment, `cold` also without. @default nothing: that is an error
   */
  readonly fallback?: "light" | "cold" | undefined;
  /** What it reaches of the network. @default what the bundle's annotations say */
  readonly network?: NetworkOptions | undefined;
  /** Hears the pid of its first process before the container counts as restored. */
  readonly onPid?: ((pid: number) => void | Promise<void>) | undefined;
}

/** What cannot be done about a terminal. @throws {UsageError} that says why. */
export function refuseTerminal(
  spec: Spec,
  { consoleSocket, detach }: Pick<RestoreOptions, "consoleSocket" | "detach">,
): void {
  if (spec.process?.terminal && detach && consoleSocket === undefined) {
    throw new UsageError("cannot allocate tty if runtime will detach without setting console socket");
  }
  if (consoleSocket !== undefined && !spec.process?.terminal) {
    throw new UsageError(
      "Cannot use --console-socket: the program has no terminal, process.terminal is not true",
    );
  }
}

/** What a restore cannot do. @throws {UsageError | UnsupportedError} that says why. */
export function refuseRestore(
  { spec, filter }: Prepared,
  options: Pick<RestoreOptions, "consoleSocket" | "detach" | "lsmMountContext" | "autoDedup" | "pages">,
): void {
  refuseTerminal(spec, options);
  if (options.autoDedup) {
    const reason = "a restore takes no pages out of images, which are sealed";
    throw new UnsupportedError("--auto-dedup", reason, "leave it out");
  }
  if (options.lsmMountContext && !hasSelinux()) {
    // CRIU would pass over it.
    throw new UnsupportedError("--lsm-mount-context", "selinux is disabled or not supported", "leave it out");
  }
  if (
    options.pages === "lazy" && !spec.linux?.namespaces?.some(({ type, path }) => type === "pid" && !path)
  ) {
    const reason = "without a pid namespace of its own it could not be ended with what brings its memory in";
    throw new UnsupportedError("--lazy", reason, 'leave it out, or add {"type": "pid"}');
  }
  if (filter?.notify) {
    throw new UnsupportedError(
      "/linux/seccomp",
      "CRIU cannot restore a filter that asks user space",
      "leave it out",
    );
  }
}
