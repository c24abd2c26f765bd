import { O, O_DIRECTORY } from "./abi.ts";
import type { Context } from "./context.ts";
import { writeFile } from "./files.ts";
import { hasEarlyHooks } from "./hooks.ts";
import { newFileSystem } from "./mount_ops.ts";
import { mountOptions } from "./mount_options.ts";
import { flags, mark, type Op, op, slot, text } from "./op.ts";
import { reportSysctl, reportUserLimit } from "./reports.ts";

/**
 * Kernel parameters go through a proc of our own that is mounted nowhere, or not yet: nothing in the rootfs can stand in
 * for it (CVE-2019-19921, CVE-2025-52881).
 */
export function* sysctls(context: Context): Iterable<Op> {
  const values = Object.entries(context.spec.linux?.sysctl ?? {});
  const limits = limitsOfUsers(context);
  if (values.length + limits.length === 0) return;
  const does = "open the kernel parameters";
  // After hooks something may be mounted on the parameters of the sandbox's proc.
  const mounted = hasEarlyHooks(context) ? undefined : writableProc(context);
  if (mounted !== undefined) yield op(does, "let", [slot(mounted)], { into: "sysctl" });
  else yield* newFileSystem(does, { type: "proc", data: [], set: {} }, "sysctl");
  for (const [key, value] of values) {
    // With a slash in it the key is a path already (sysctl(8)).
    const path = "sys/" + (key.includes("/") ? key : key.replaceAll(".", "/"));
    const bytes = text(value);
    yield* writeFile(`set ${key} to "${value}"`, slot("sysctl"), path, bytes, bytes.bytes.length);
    yield* reportSysctl(context, key, value, path); // before the next one may change it
  }
  if (limits.length === 0) return;
  // While nothing is mounted on it: what is opened in there later is reached from here.
  const how = flags("O_", { PATH: O.PATH, DIRECTORY: O_DIRECTORY[context.arch], CLOEXEC: O.CLOEXEC });
  yield op("open the limits of users", "openat", [slot("sysctl"), "sys/user", how, 0], { into: "users" });
}

/** The slot of the proc that the sandbox gets, if kernel parameters can be written through it. */
function writableProc({ spec }: Context): string | undefined {
  const index = (spec.mounts ?? []).findIndex(({ type, options = [] }) => {
    if (type !== "proc") return false;
    const { set, data, bind, remount } = mountOptions(options, type);
    return !bind && !remount && !("RDONLY" in set) && !data.some(({ key }) => key === "subset");
  });
  return index < 0 ? undefined : `mount:${index}`;
}

/** When everything is mounted: a mount that hangs nowhere yet counts as a mount namespace. */
export function* userLimits(context: Context): Iterable<Op> {
  for (const [key, value] of limitsOfUsers(context)) {
    yield* userLimit(key, String(value));
    yield* reportUserLimit(context, key);
  }
}

/** None without a user namespace of its own: they would be limits of the host. */
export function limitsOfUsers({ confinement, namespace }: Context): [string, number][] {
  return namespace("user") === "new" ? Object.entries(confinement?.userLimits ?? {}) : [];
}

/** A limit of what this kernel does not have at all is kept by it anyway. */
function* userLimit(key: string, value: string): Iterable<Op> {
  const [does, after] = [`set user.${key} to ${value}`, `user.${key}`];
  const [open, ...rest] = writeFile(does, slot("users"), key, text(value), value.length);
  yield { ...open!, ignore: ["ENOENT"], ignored: after };
  yield* rest;
  yield mark(after);
}
