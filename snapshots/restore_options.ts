import { UnsupportedError, UsageError } from "../runtime/errors.ts";
import type { NetworkOptions } from "../runtime/network.ts";
import type { Prepared } from "../runtime/prepare.ts";
import type { CriuOptions } from "./options.ts";

/** Options of {@linkcode restoreContainer}. */
export interface RestoreOptions extends CriuOptions {
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
  /** What it reaches of the network. @default what the bundle's annotations say */
  readonly network?: NetworkOptions | undefined;
  /** Hears the pid of its first process before the container counts as restored. */
  readonly onPid?: ((pid: number) => void | Promise<void>) | undefined;
}

/** What a restore cannot do. @throws {UsageError | UnsupportedError} that says why. */
export function refuseRestore(
  { spec, filter }: Prepared,
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
  if (Object.values(spec.hooks ?? {}).some((each) => each.length > 0)) {
    throw new UnsupportedError("/hooks", "this version runs none in a restore", "leave them out");
  }
  if (Object.keys(spec.linux?.netDevices ?? {}).length > 0) {
    throw new UnsupportedError("/linux/netDevices", "this version moves none in a restore", "leave them out");
  }
  if (filter?.notify) {
    throw new UnsupportedError(
      "/linux/seccomp",
      "CRIU cannot restore a filter that asks user space",
      "leave it out",
    );
  }
}
