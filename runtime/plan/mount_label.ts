import type { Context } from "./context.ts";
import type { MountOptions } from "./mount_options.ts";

/** The SELinux label of a file system's files; those of the kernel's own have none (mount(8)). */
export function labelOf({ spec }: Pick<Context, "spec">, type: string): MountOptions["data"] {
  const label = spec.linux?.mountLabel;
  return label && !["proc", "sysfs", "mqueue"].includes(type) ? [{ key: "context", value: label }] : [];
}
