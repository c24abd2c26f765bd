import type { IdMapping } from "../spec/config.ts";
import { UNASSIGNED_ID } from "./context.ts";
import { O } from "./abi.ts";

import { AT_FDCWD, CLONE, MOUNT_ATTR } from "./kernel.ts";
import { setAttributes } from "./mount_ops.ts";
import {
  type Arg,
  type Bytes,
  flags,
  ID_DIGITS,
  mark,
  named,
  type Op,
  op,
  slot,
  type Struct,
  text,
  zeros,
} from "./op.ts";

/** Room for the ten digits of a pid; what is left of it stays slashes, which a path may repeat. */
export const PID_ROOM = 10;

/** Opens a pipe; its ends go to the slots `<name>:read` and `<name>:write`. */
export function* pipe(does: string, name: string): Iterable<Op> {
  const ends = zeros(16, "int[2]");
  yield op(does, "pipe2", [ends, flags("O_", { CLOEXEC: O.CLOEXEC })]);
  yield* twoDescriptors(does, ends, name);
}

/** Takes two descriptors apart, which the kernel has written to `ends`, to the slots `<name>:read` and `<name>:write`. */
export function* twoDescriptors(does: string, ends: Bytes, name: string): Iterable<Op> {
  // Two 32-bit integers side by side: load the second, then take it out of both.
  yield op(does, "load", [{ inside: ends, offset: 4 }, 0], { into: `${name}:write` });
  yield op(does, "load", [{ inside: ends, offset: 0 }, 0], { into: `${name}:read` });
  yield op(does, "let", [slot(`${name}:read`), slot(`${name}:write`), -(2n ** 32n)], {
    into: `${name}:read`,
  });
}

/** `struct clone_args` of clone3(2). */
export function cloneArgs(
  cloneFlags: Readonly<Record<string, number>>,
  exitSignal: Arg,
  { pidfd = 0, childTid = 0, cgroup }: {
    readonly pidfd?: Arg;
    readonly childTid?: Arg;
    readonly cgroup?: Arg;
  } = {},
): Struct {
  const own = flags("CLONE_", cloneFlags);
  return {
    struct: "clone_args",
    members: [
      [
        "flags",
        8,
        cgroup === undefined ? own : named(`${own.named}|CLONE_INTO_CGROUP`, Number(own.value) + 2 ** 33),
      ],
      ["pidfd", 8, pidfd],
      ["child_tid", 8, childTid],
      ["parent_tid", 8, 0],
      ["exit_signal", 8, exitSignal],
      ["stack", 8, 0],
      ["stack_size", 8, 0],
      ["tls", 8, 0],
      ["set_tid", 8, 0],
      ["set_tid_size", 8, 0],
      ["cgroup", 8, cgroup ?? 0],
    ],
  };
}

/** `size` in bytes of {@linkcode cloneArgs}. */
export const CLONE_ARGS_BYTES = 88;
export const SIGCHLD = named("SIGCHLD", 17);

/** The path of `file` in /proc/<pid>, and the step that writes the pid of slot `pid` into it. */
function procPath(pid: string, file: string): { path: Bytes; fill: Op } {
  const path = text(`/proc/${"/".repeat(PID_ROOM)}/${file}\0`);
  const shown = { bytes: path.bytes, shows: `"/proc/<${pid}>/${file}"` };
  const end = { inside: shown, offset: "/proc/".length + PID_ROOM };
  return { path: shown, fill: op(`find "/proc/<pid>/${file}"`, "decimal", [slot(pid), end]) };
}

/** One id mapping file's text; the caller's own id is filled in when the image runs. */
export interface IdMap {
  readonly bytes: Bytes;
  readonly fill?: Op;
}

/** The text of /proc/<pid>/uid_map for `mappings` (user_namespaces(7)). */
export function idMap(mappings: readonly IdMapping[]): IdMap {
  const [first] = mappings;
  if (first?.hostID === UNASSIGNED_ID) return rangeMap(first);
  return {
    bytes: text(
      mappings.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join(""),
    ),
  };
}

function rangeMap({ containerID, size }: IdMapping): IdMap {
  const head = `${containerID} `;
  const { bytes } = text(`${head}${" ".repeat(ID_DIGITS)} ${size}\n`);
  return { bytes: { bytes, shows: `"${head}<first id> ${size}\\n"`, idAt: head.length } };
}

/** A map of one id, the one that slot `caller` holds when the image runs, to `inside`. */
export function callerMap(inside: number, caller: string): IdMap {
  const head = `${inside} `;
  const bytes = text(`${head}${" ".repeat(PID_ROOM)} 1\n`);
  const end = { inside: bytes, offset: head.length + PID_ROOM };
  return { bytes, fill: op("write the caller's id into the map", "decimal", [slot(caller), end]) };
}

/** Writes the id maps of the process of slot `pid`; `denySetgroups` as an unprivileged writer must. */
export function* writeIdMaps(pid: string, uids: IdMap, gids: IdMap, denySetgroups: boolean): Iterable<Op> {
  const write = flags("O_", { WRONLY: O.WRONLY, CLOEXEC: O.CLOEXEC });
  const parts: [string, IdMap][] = [["uid_map", uids], ["gid_map", gids]];
  if (denySetgroups) parts.unshift(["setgroups", { bytes: text("deny") }]);
  for (const [file, map] of parts) {
    const { path, fill } = procPath(pid, file);
    const does = `write ${map.bytes.shows.replaceAll(/ +/g, " ")} to ${file} of the user namespace`;
    yield fill;
    if (map.fill) yield map.fill;
    yield op(does, "openat", [AT_FDCWD, path, write, 0], { into: "file" });
    yield op(does, "write", [slot("file"), map.bytes, map.bytes.bytes.length]);
    yield op(does, "close", [slot("file")]);
  }
}

/** Opens the user namespace of the process of slot `pid`. */
export function* openUserNamespace(pid: string, into: string): Iterable<Op> {
  const { path, fill } = procPath(pid, "ns/user");
  yield fill;
  yield op("open the user namespace", "openat", [
    AT_FDCWD,
    path,
    flags("O_", { RDONLY: O.RDONLY, CLOEXEC: O.CLOEXEC }),
    0,
  ], { into });
}

/** How the ids of a mount are mapped, and whether those of what is mounted below it are, too. */
export interface MountMaps {
  readonly uids: readonly IdMapping[];
  readonly gids: readonly IdMapping[];
  readonly recursive: boolean;
}

/**
 * Maps the ids of the detached mount of slot `mount`: a process that only waits holds a user namespace with these
 * maps while mount_setattr(MOUNT_ATTR_IDMAP) takes it over.
 */
export function* mapMountIds(
  does: string,
  mount: string,
  maps: MountMaps,
): Iterable<Op> {
  const name = `${mount}:idmap`;
  const [pid, holder, go] = [`${name}:pid`, `${name}:holder`, `${name}:go`];
  yield* pipe(does, name);
  const args = cloneArgs({ NEWUSER: CLONE.NEWUSER }, SIGCHLD);
  yield op(does, "clone3", [args, CLONE_ARGS_BYTES], { into: pid, zero: holder, positive: go });
  yield op(does, "close", [slot(`${name}:write`)], { label: holder });
  yield op(does, "read", [slot(`${name}:read`), zeros(8, "byte"), 1]);
  yield op(does, "exit_group", [0]);
  yield mark(go);
  yield* writeIdMaps(pid, idMap(maps.uids), idMap(maps.gids), false);
  yield* openUserNamespace(pid, `${name}:ns`);
  yield setAttributes(does, slot(mount), {
    set: { IDMAP: MOUNT_ATTR.IDMAP },
    userNamespace: slot(`${name}:ns`),
    recursive: maps.recursive,
  });
  yield op(does, "close", [slot(`${name}:write`)]);
  yield op(does, "waitid", [named("P_PID", 1), slot(pid), 0, named("WEXITED", 4), 0]);
}

/** Maps the ids of the detached mount of slot `mount` as the user namespace at `path` does. */
export function* mapMountIdsAs(
  does: string,
  mount: string,
  path: string,
  recursive: boolean,
): Iterable<Op> {
  const how = flags("O_", { RDONLY: O.RDONLY, CLOEXEC: O.CLOEXEC });
  yield op(`open user namespace "${path}"`, "openat", [AT_FDCWD, path, how, 0], { into: `${mount}:ns` });
  yield setAttributes(does, slot(mount), {
    set: { IDMAP: MOUNT_ATTR.IDMAP },
    userNamespace: slot(`${mount}:ns`),
    recursive,
  });
  yield op(does, "close", [slot(`${mount}:ns`)]);
}
