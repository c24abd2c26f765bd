import { check } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";
import { cstring } from "./memory.ts";

const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const [FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE] = [0, 1, 6];
const MOUNT_ATTR_RDONLY = 1;

/**
 * A read-only directory that shows the files of several, those of the first before those of the others: an overlay that
 * is mounted nowhere, and gone with its last descriptor (fsmount(2)).
 */
export function layered(directories: readonly string[]): Fd {
  const does = "lay directories over each other";
  using context = new Fd(check(libc.fsopen(cstring("overlay"), FSOPEN_CLOEXEC), does));
  const lower = directories.map((each) => each.replaceAll(/[\\:]/g, "\\$&")).join(":");
  const set = libc.fsconfig(context.raw, FSCONFIG_SET_STRING, cstring("lowerdir"), cstring(lower), 0);
  check(set, does);
  check(libc.fsconfig(context.raw, FSCONFIG_CMD_CREATE, null, null, 0), does);
  return new Fd(check(libc.fsmount(context.raw, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY), does));
}

/** A new tmpfs with these options that is mounted nowhere, and gone with its last descriptor unless it is mounted by then. */
export function newTmpfs(
  source: string,
  options: readonly { readonly key: string; readonly value?: string }[],
): Fd {
  const does = "make a file system in memory";
  using context = new Fd(check(libc.fsopen(cstring("tmpfs"), FSOPEN_CLOEXEC), does));
  for (const { key, value } of [{ key: "source", value: source }, ...options]) {
    const kind = value === undefined ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
    const given = value === undefined ? null : cstring(value);
    check(libc.fsconfig(context.raw, kind, cstring(key), given, 0), does, key);
  }
  check(libc.fsconfig(context.raw, FSCONFIG_CMD_CREATE, null, null, 0), does);
  return new Fd(check(libc.fsmount(context.raw, FSMOUNT_CLOEXEC, 0), does));
}
