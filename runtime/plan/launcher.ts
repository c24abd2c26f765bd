import { awaitGroups, birthGroup, openGroups } from "./cgroup_join.ts";
import { removeGroups } from "./cgroup_remove.ts";
import type { Context } from "./context.ts";
import { depart } from "./depart.ts";
import { writeFile } from "./files.ts";
import {
  AT_FDCWD,
  CLONE,
  CLOSE_RANGE_CLOEXEC,
  NAMESPACE_FLAG,
  NAMESPACE_NAME,
  PR,
  SECBIT_NO_SETUID_FIXUP,
  SIGKILL,
} from "./kernel.ts";
import type { NamespaceType } from "../spec/config.ts";
import { O } from "./abi.ts";
import { flags, mark, named, type Op, op, slot, type Struct, text, zeros } from "./op.ts";
import { raiseLimits } from "./limits.ts";
import { compareMaps, findMaps, hasGivenMaps } from "./given_maps.ts";
import { message } from "./message.ts";
import { GATE_FD, MESSAGE, STATUS_FD } from "./protocol.ts";
import { announceNetwork, isNetworkLate, makeNetwork } from "./late_network.ts";
import { shareStdio } from "./stdio.ts";
import { connectServed, serve } from "./served.ts";
import { needsHelpers, runIdHelpers } from "./id_helpers.ts";
import { isTracked, type Tracker, tracker } from "./tracker.ts";
import {
  callerMap,
  CLONE_ARGS_BYTES,
  cloneArgs,
  idMap,
  openUserNamespace,
  pipe,
  SIGCHLD,
  writeIdMaps,
} from "./userns.ts";

const OTHERS = ["ipc", "uts", "network", "pid", "cgroup", "time", "mount"] as const;
/**
 * A user namespace decides over the rights to enter the others: without the host's it comes first. With them it comes last,
 * as the others may belong to another one.
 */
const JOIN_ORDER = { user: ["user", ...OTHERS], root: [...OTHERS, "user"] } as const;

/** What the launcher does to the mounts. */
export interface Opening {
  /** Opens them. */
  readonly opened: readonly Op[];
  /** Maps the ids of their files, when init has its own. */
  readonly mapped: readonly Op[];
  /** Does for init what only the host's rights allow, when it asks. */
  readonly served: readonly Op[];
}

/** The launcher's steps up to the birth of init, whose own begin at label `init`. */
export function* launcher(context: Context, { opened, mapped, served }: Opening): Iterable<Op> {
  const { spec } = context;
  yield op("name the process", "prctl", [named("PR_SET_NAME", 15), "ai-sandbox", 0, 0, 0]);
  if (context.form === "supervised") {
    // A signal to the caller's whole process group, as Ctrl-C sends, must not end who ends init and removes its cgroups.
    // Not a session of its own: where the scheduler groups sessions, a busy machine lets who has just changed over wait.
    yield op("leave the caller's process group", "setpgid", [0, 0]);
  }
  // The status socket and the gate too: init needs them until execve, the program must not have them.
  const all = named("~0", 0xffffffff);
  yield op("close at execve what was inherited", "close_range", [3, all, CLOSE_RANGE_CLOEXEC]);
  if (spec.process?.oomScoreAdj !== undefined) {
    const value = String(spec.process.oomScoreAdj);
    const does = `set oom_score_adj to ${value}`;
    yield* writeFile(does, AT_FDCWD, "/proc/self/oom_score_adj", text(value), value.length);
  }
  yield* raiseLimits(context);
  yield* shareStdio(context);
  yield* awaitGroups(context);
  yield* openGroups(context);
  yield* opened;
  yield* join(context);
  yield* timeOffsets(context);
  yield* birth(context, mapped, served.length > 0 ? [...serve(served)] : []);
}

function* join(context: Context): Iterable<Op> {
  const { host } = context;
  const paths = namespacePaths(context);
  const joined = JOIN_ORDER[host.privileged ? "root" : "user"].filter((type) =>
    paths.get(type) !== undefined
  );
  if (joined.length === 0) return;
  // Processes in there must not trace us or steal our descriptors (CVE-2016-9962).
  yield op("forbid tracing", "prctl", [named("PR_SET_DUMPABLE", PR.SET_DUMPABLE), 0, 0, 0, 0]);
  const how = flags("O_", { RDONLY: O.RDONLY, CLOEXEC: O.CLOEXEC });
  for (const type of joined) {
    const path = paths.get(type)!;
    yield op(`open ${type} namespace "${path}"`, "openat", [AT_FDCWD, path, how, 0], {
      into: `join:${type}`,
    });
  }
  const compares = hasGivenMaps(context);
  if (compares) yield findMaps(context);
  for (const type of joined) {
    const flag = named(`CLONE_${NAMESPACE_NAME[type]}`, NAMESPACE_FLAG[type]);
    yield op(`join ${type} namespace "${paths.get(type)!}"`, "setns", [slot(`join:${type}`), flag]);
  }
  if (compares) yield* compareMaps(context, paths.get("user")!);
}

function namespacePaths({ spec }: Context): ReadonlyMap<NamespaceType, string | undefined> {
  return new Map(spec.linux?.namespaces?.map(({ type, path }) => [type, path]));
}

/** A time namespace takes offsets only before its first process: its creator writes them, then clones. */
function* timeOffsets(context: Context): Iterable<Op> {
  const offsets = offsetLines(context);
  if (offsets === undefined || context.namespace("user") === "new") return;
  yield op("make a time namespace", "unshare", [named("CLONE_NEWTIME", CLONE.NEWTIME)]);
  yield* writeOffsets(offsets);
}

/** The lines for /proc/self/timens_offsets (time_namespaces(7)). */
export function offsetLines({ spec, namespace }: Context): string | undefined {
  const offsets = Object.entries(spec.linux?.timeOffsets ?? {});
  if (offsets.length === 0 || namespace("time") !== "new") return undefined;
  return offsets.map(([clock, { secs = 0, nanosecs = 0 }]) => `${clock} ${secs} ${nanosecs}\n`).join("");
}

/** Writes the offsets of the time namespace that was unshared before. */
export function writeOffsets(lines: string): Iterable<Op> {
  return writeFile("set the time offsets", AT_FDCWD, "/proc/self/timens_offsets", text(lines), lines.length);
}

function* birth(context: Context, mapped: readonly Op[], served: readonly Op[]): Iterable<Op> {
  const { spec, form, host } = context;
  const late = isNetworkLate(context);
  const fresh: Record<string, number> = {};
  for (const { type, path } of spec.linux?.namespaces ?? []) {
    // With offsets the time namespace is made apart: by the launcher, or in a user namespace by init.
    if (path !== undefined || (type === "time" && offsetLines(context) !== undefined)) continue;
    if (type === "cgroup" && context.groups?.length) continue; // made by init, when it is in its groups
    if (type === "network" && late) continue;
    fresh[NAMESPACE_NAME[type]] = NAMESPACE_FLAG[type];
  }
  const userns = context.namespace("user") === "new";
  if (userns) yield* pipe("make a pipe to init", "mapped");
  if (served.length > 0) yield* connectServed();
  if (form === "standalone" && !late) yield* pipe("make a pipe from the guard to init", WATCHED);
  const parent = form === "standalone" ? {} : { PARENT: CLONE.PARENT };
  const signal = form === "standalone" ? SIGCHLD : 0;
  const tracked = isTracked(context) ? tracker(context) : undefined;
  const cgroup = tracked ? slot("cgroup") : birthGroup(context);
  const args = cloneArgs({ PIDFD: CLONE.PIDFD, ...parent, ...fresh }, signal, {
    pidfd: { address: "init:pidfd" },
    ...(cgroup && { cgroup }),
  });
  if (tracked) yield* tracked.make;
  const does = `start init in ${Object.keys(fresh).length} new namespaces`;
  if (late) yield* announceNetwork();
  const owner = ownUserNamespace(context);
  yield* owner.before;
  yield op(does, "clone3", [args, CLONE_ARGS_BYTES], {
    into: "init:pid",
    zero: "init",
    positive: "born",
    ...(tracked && { failed: "untrack" }),
  });
  if (tracked) yield* tracked.undo;
  yield mark("born");
  yield* owner.after;
  if (userns) {
    const { uidMappings = [], gidMappings = [] } = spec.linux ?? {};
    const standalone = form === "standalone" && !host.privileged;
    if (standalone) {
      yield op("ask who calls", "geteuid", [], { into: "caller:uid" });
      yield op("ask who calls", "getegid", [], { into: "caller:gid" });
    }
    const uids = standalone ? callerMap(uidMappings[0]?.containerID ?? 0, "caller:uid") : idMap(uidMappings);
    const gids = standalone ? callerMap(gidMappings[0]?.containerID ?? 0, "caller:gid") : idMap(gidMappings);
    yield* needsHelpers(context)
      ? runIdHelpers("init:pid", context)
      : writeIdMaps("init:pid", uids, gids, !host.privileged);
    if (mapped.length > 0) {
      yield* openUserNamespace("init:pid", "init:userns");
      yield* mapped;
      yield op("map the files", "close", [slot("init:userns")]);
    }
    yield op("let init go on", "write", [slot("mapped:write"), text("m"), 1]);
    yield op("let init go on", "close", [slot("mapped:write")]);
  }
  if (form === "standalone") {
    yield* served;
    yield* supervise(tracked, late);
  } else if (form === "detached") yield* depart(served);
  else yield* guard(context, tracked, served);
}

/**
 * A user namespace belongs to the effective user of who makes it, and what the kernel counts for the users inside (inotify
 * instances, message queues, queued signals) it also counts for that user outside, up to the host's limits (user_namespaces(7),
 * /proc/sys/user). So that no sandbox uses up what is for all, each belongs to the first of its own ids. All rights stay.
 */
function ownUserNamespace({ idRange, host }: Context): Record<"before" | "after", readonly Op[]> {
  if (!idRange || host.keepsNamespaces) return { before: [], after: [] };
  const does = "give the user namespace to the first of its ids";
  const bits = named("PR_SET_SECUREBITS", PR.SET_SECUREBITS);
  const keep = named("SECBIT_NO_SETUID_FIXUP", SECBIT_NO_SETUID_FIXUP);
  const same = named("-1", 0xffffffff);
  return {
    before: [
      op(does, "load", [
        { inside: { bytes: new Uint8Array(8), shows: "<first id>", isId: true }, offset: 0 },
        0,
      ], {
        into: "ids:first",
      }),
      op(does, "prctl", [bits, keep, 0, 0, 0]),
      op(does, "setresuid", [same, slot("ids:first"), same]),
    ],
    after: [
      op("become the host's root again", "setresuid", [same, 0, same]),
      op("become the host's root again", "prctl", [bits, 0, 0, 0, 0]),
    ],
  };
}

const POLLIN = 1n;
const F_DUPFD_CLOEXEC = named("F_DUPFD_CLOEXEC", 1030);
const NO_TIME: Struct = { struct: "timespec", members: [["sec", 8, 0], ["nsec", 8, 0]] };
const ALL_SIGNALS = { bytes: new Uint8Array(8).fill(0xff), shows: "{all}" };

/** `struct pollfd` in one word: what a slot holds is a descriptor below 2³². */
function* pollFd(fd: string, events: bigint): Iterable<Op> {
  yield op("watch init", "let", [slot(fd), 1, events << 32n], { into: `${fd}:poll` });
}

/** Waits for the end of init, or of the supervisor, which closes its end of the gate. */
export function* awaitEither(): Iterable<Op> {
  yield* pollFd("init:pidfd", POLLIN);
  const polls: Struct = {
    struct: "pollfd[2]",
    members: [["init", 8, slot("init:pidfd:poll")], ["gate", 8, GATE_FD]],
  };
  yield op("wait for the end of init or of the supervisor", "ppoll", [polls, 2, 0, 0, 8], {
    failed: "unguarded",
  });
}

/**
 * Tells the supervisor who init is, then waits for init's end or the supervisor's: init may have cleared its parent
 * death signal, but nobody inside can reach this process.
 */
function* guard(context: Context, tracked: Tracker | undefined, served: readonly Op[]): Iterable<Op> {
  if (tracked) {
    yield { ...message("report that a cgroup is to be removed", MESSAGE.tracked, 0), failed: "unguarded" };
  }
  // A supervisor that is gone already may have opened the start gate: init must not begin unguarded.
  yield { ...message("report init", MESSAGE.cloned, slot("init:pid")), failed: "unguarded" };
  yield* served;
  yield op("close the status socket", "close", [STATUS_FD]);
  if (context.groups?.length) {
    // It outlives init until the supervisor has read the groups, who may first read the program's output to its end.
    for (const fd of [0, 1, 2]) {
      yield op("leave the streams to the program", "close", [fd], { ignore: ["EBADF"] });
    }
  }
  yield* awaitEither();
  yield op("end init", "pidfd_send_signal", [slot("init:pidfd"), SIGKILL, 0, 0], {
    label: "unguarded",
    ignore: ["ESRCH"],
  });
  yield* tracked?.end("guard") ?? [];
  if (context.idRange) yield* keepIds();
  if (context.groups?.length) {
    // A supervisor that lives reads what the groups have counted, removes them, and ends this process. A dying one kills
    // init by the death signal while its other threads still hold the gate.
    const gate: Struct = { struct: "pollfd", members: [["gate", 8, GATE_FD]] };
    yield op("wait for the end of the supervisor", "ppoll", [gate, 1, 0, 0, 8], { failed: "guard:over" });
    yield* removeGroups(context);
  }
  yield op("end", "exit_group", [0], { label: "guard:over" });
}

/** The guard holds the lock of the sandbox's ids: it stays until the last process with them is gone. */
function* keepIds(): Iterable<Op> {
  const init: Struct = { struct: "pollfd", members: [["init", 8, slot("init:pidfd:poll")]] };
  const wait: Struct = { struct: "timespec", members: [["sec", 8, 10], ["nsec", 8, 0]] };
  const next = "ids:kept";
  yield op("keep the ids until init is gone", "ppoll", [init, 1, wait, 0, 8], { failed: next });
  yield mark(next);
}

/** The pipe by which the standalone form's init hears that it has a guard. */
const WATCHED = "watched";

/**
 * The standalone form's init becomes the program only when it has a guard. A launcher may be killed before it has made
 * one, and before init has asked for the parent death signal, or while a change of user has taken that back. An init
 * whose network is made late waits for what the launcher does behind the making of the guard anyhow.
 */
export function* awaitGuard(): Iterable<Op> {
  const does = "wait for the guard";
  yield op(does, "close", [slot(`${WATCHED}:write`)]);
  yield op(does, "read", [slot(`${WATCHED}:read`), zeros(8, "byte"), 1], {
    zero: "unwatched",
    positive: "watched",
  });
  yield op("end, nobody guards it", "exit_group", [125], { label: "unwatched" });
  yield mark("watched");
}

/**
 * The standalone form's guard: a process of its own, in a session of its own and deaf to signals, that ends init when
 * the launcher dies. The leash is a pipe whose other end only the launcher holds.
 */
function* standaloneGuard(tracked: Tracker | undefined, late: boolean): Iterable<Op> {
  const does = "start the guard of init";
  yield* pipe(does, "leash");
  yield op(does, "rt_sigprocmask", [named("SIG_SETMASK", 2), ALL_SIGNALS, { address: "signals" }, 8]);
  yield op(does, "clone3", [cloneArgs({}, SIGCHLD), CLONE_ARGS_BYTES], {
    into: "guard:pid",
    zero: "guard",
    positive: "guarded",
  });
  yield op(does, "setsid", [], { label: "guard" });
  yield op(does, "close", [slot("leash:write")]);
  if (late) yield op(does, "close", [slot("network:write")]);
  // They may have the places of streams that the caller has closed.
  for (
    const name of [
      "init:pidfd",
      "leash:read",
      ...(late ? [] : [`${WATCHED}:write`]),
      ...(tracked ? ["cgroup"] : []),
    ]
  ) {
    yield op(does, "fcntl", [slot(name), F_DUPFD_CLOEXEC, 3], { into: name });
  }
  for (const fd of [0, 1, 2]) yield op(does, "close", [fd], { ignore: ["EBADF"] });
  yield* pollFd("init:pidfd", POLLIN);
  yield* pollFd("leash:read", 0n);
  const polls: Struct = {
    struct: "pollfd[2]",
    members: [["leash", 8, slot("leash:read:poll")], ["init", 8, slot("init:pidfd:poll")]],
  };
  if (!late) yield op("tell init that it is guarded", "write", [slot(`${WATCHED}:write`), text("g"), 1]);
  if (tracked) {
    // The launcher lets go when init has ended, so that it can be killed at any time.
    yield op("wait for the launcher to let go", "ppoll", [polls, 1, 0, 0, 8], { failed: "leashed" });
  } else {
    yield op("wait for the end of init or of the launcher", "ppoll", [polls, 2, 0, 0, 8], {
      failed: "leashed",
    });
    // If the launcher still lives, init has ended, and the launcher sees to the rest.
    yield op("see whether the launcher lives", "ppoll", [polls, 1, NO_TIME, 0, 8], {
      zero: "guard:end",
      failed: "leashed",
    });
  }
  yield op("end init", "pidfd_send_signal", [slot("init:pidfd"), SIGKILL, 0, 0], {
    label: "leashed",
    ignore: ["ESRCH"],
  });
  yield* tracked?.end("guard") ?? [];
  yield op("end", "exit_group", [0], { label: "guard:end" });
  yield op(does, "rt_sigprocmask", [named("SIG_SETMASK", 2), { address: "signals" }, 0, 8], {
    label: "guarded",
  });
  // So that init hears of a guard that is killed too early.
  if (!late) yield op(does, "close", [slot(`${WATCHED}:write`)]);
}

/** The standalone form: waits for init and ends as it did, 128 + the signal's number if one killed it. */
function* supervise(tracked: Tracker | undefined, late: boolean): Iterable<Op> {
  yield* standaloneGuard(tracked, late);
  if (late) yield* makeNetwork();
  const info = zeros(128, "siginfo");
  yield op("wait for init", "waitid", [named("P_PID", 1), slot("init:pid"), info, named("WEXITED", 4), 0]);
  if (tracked) yield op("let the guard end what init has left", "close", [slot("leash:write")]);
  yield op("wait for the guard", "waitid", [named("P_PID", 1), slot("guard:pid"), 0, named("WEXITED", 4), 0]);
  yield* tracked?.end("launcher") ?? []; // the guard may have been killed
  yield op("read its status", "load", [{ inside: info, offset: 24 }, 0], { into: "init:status" });
  yield op("read its end", "load", [{ inside: info, offset: 8 }, 0], { into: "init:end" });
  yield op("tell exit from signal", "let", [slot("init:end"), -1, 1], { zero: "exited" });
  yield op("tell exit from signal", "let", [slot("init:status"), 1, 128], { into: "init:status" });
  yield op("end", "exit_group", [slot("init:status")], { label: "exited" });
}
