import { UnsupportedError } from "./errors.ts";
import type { Spec } from "./spec/config.ts";

/**
 * Refuses labels for security modules that this kernel does not run: nobody would keep to them.
 *
 * @throws {UnsupportedError} in runc's words.
 */
export function checkModules({ process, linux }: Pick<Spec, "process" | "linux">): void {
  const remedy = "take it out of config.json, or run on a host that has it";
  if (process?.apparmorProfile && !hasAppArmor()) {
    const reason = "apparmor: config provided but apparmor not supported";
    throw new UnsupportedError("/process/apparmorProfile", reason, remedy);
  }
  for (
    const [pointer, label] of [
      ["/process/selinuxLabel", process?.selinuxLabel],
      ["/linux/mountLabel", linux?.mountLabel],
    ] as const
  ) {
    if (!label || hasSelinux()) continue;
    const reason = "selinux label is specified in config, but selinux is disabled or not supported";
    throw new UnsupportedError(pointer, reason, remedy);
  }
}

function hasAppArmor(): boolean {
  return read("/sys/module/apparmor/parameters/enabled")?.startsWith("Y") ?? false;
}

/** Whether this kernel runs SELinux. */
export function hasSelinux(): boolean {
  return read("/sys/fs/selinux/enforce") !== undefined;
}

function read(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}
