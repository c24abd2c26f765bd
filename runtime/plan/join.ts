import { O, O_DIRECTORY } from "./abi.ts";
import { joinGroups, openGroups } from "./cgroup_join.ts";
import type { Context, GroupDirectory, PlanRequest } from "./context.ts";
import { depart } from "./depart.ts";
import { end } from "./end.ts";
import { writeFile } from "./files.ts";
import { becomeJoinedRoot } from "./identity.ts";
import { AT_FDCWD, CLONE, CLOSE_RANGE_CLOEXEC, NAMESPACE_FLAG, NAMESPACE_NAME } from "./kernel.ts";
import { everyCpu, execAffinity, raiseLimits } from "./limits.ts";
import { flags, mark, type Named, named, type Op, op, type Plan, slot, text } from "./op.ts";
import { firstPreserved } from "./preserved.ts";
import { closeDescriptors, dumpable, leaveKeys, resetSignals } from "./process.ts";
import { becomeProgram } from "./program.ts";
import { applyLabels, openLabelsInside } from "./security_labels.ts";
import { shareStdio } from "./stdio.ts";
import { joinTerminal } from "./terminal.ts";
import { CLONE_ARGS_BYTES, cloneArgs } from "./userns.ts";
import type { NamespaceType } from "../spec/config.ts";

/** What a plan to run one more program in a sandbox is made from; its `process` is that program. */
export interface JoinRequest
  extends Pick<PlanRequest, "spec" | "host" | "filter" | "landlock" | "confinement"> {
  /** The namespaces of init that are not the caller's. */
  readonly namespaces: readonly NamespaceType[];
  /** The cgroups to join, by their directories on the host. */
  readonly groups: readonly GroupDirectory[];
  /** The group of version 2 that init is in: it may be that only groups below the sandbox's can have processes. */
  readonly initGroup?: string | undefined;
  /** Whether the program has every CPU that its cgroups leave it, unless it asks for some; else those of the caller. */
  readonly everyCpu?: boolean;
  /** Whether init's root is another one than that of its mount namespace: a descriptor of it comes behind that of init. */
  readonly ownRoot?: boolean | undefined;
  /** Whether the users of the sandbox are nobody's on the host: pipes are opened to them. */
  readonly ownUsers: boolean;
  /** How many descriptors the program gets beside stdin, stdout and stderr. */
  readonly preserved?: number;
  /** Whether the program keeps the caller's session keyring. */
  readonly keepKeys?: boolean | undefined;
  /** Whether the terminal passes newlines on as they are written. */
  readonly plainNewlines?: boolean | undefined;
  /** Whether the program's words are known only when it runs, in place of those of its process. */
  readonly given?: boolean | undefined;
}

/**
 * Decides everything that will be done to run one more program in a sandbox: a launcher enters the namespaces of its
 * init, and the child that it clones there becomes the program. Pure, as {@linkcode plan} is.
 *
 * @example
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { joinPlan } from "./join.ts";
 * const { sections } = joinPlan({
 *   spec: { ociVersion: "1.3.0", root: { path: "rootfs" }, process: { cwd: "/", args: ["/bin/true"] } },
 *   host: {
 *     arch: "x86_64",
 *     uid: 0,
 *     gid: 0,
 *     privileged: true,
 *     lastCapability: 40,
 *     openFiles: { soft: 1024, hard: 4096 },
 *     cgroups: [],
 *   },
 *   namespaces: ["pid", "mount"],
 *   groups: [],
 *   ownUsers: false,
 * });
 * equal(sections.map(({ by }) => by).join(), "launcher,program,end");
 * ```
 */
export function joinPlan(request: JoinRequest): Plan {
  const { spec: { hooks: _, ...spec }, host, filter, landlock, confinement, groups, namespaces } = request;
  const preserved = request.preserved ?? 0;
  const all: Context = {
    spec,
    bundle: "/",
    root: { kind: "directory", path: "/" },
    host,
    arch: host.arch,
    sources: new Map(),
    filter,
    landlock,
    confinement,
    groups: groups.filter(({ version }) => version === 1),
    form: "detached",
    namespace: (type) => namespaces.includes(type) ? "joined" : "shared",
    launcherOpens: host.privileged,
    idRange: request.ownUsers,
    preserved,
    plainNewlines: request.plainNewlines,
    given: request.given,
  };
  return {
    arch: host.arch,
    sections: [
      { by: "launcher", ops: [...launcher(all, request)] },
      { by: "program", ops: [...joined(all, request)] },
      { by: "end", ops: [...end(all)] },
    ],
  };
}

function* launcher(all: Context, request: JoinRequest): Iterable<Op> {
  const { process } = all.spec;
  yield op("name the process", "prctl", [named("PR_SET_NAME", 15), "ai-sandbox", 0, 0, 0]);
  yield op("close at execve what was inherited", "close_range", [
    3,
    named("~0", 0xffffffff),
    CLOSE_RANGE_CLOEXEC,
  ]);
  yield* execAffinity(all, "initial");
  if (process?.oomScoreAdj !== undefined) {
    const value = String(process.oomScoreAdj);
    const does = `set oom_score_adj to ${value}`;
    yield* writeFile(does, AT_FDCWD, "/proc/self/oom_score_adj", text(value), value.length);
  }
  yield* raiseLimits(all);
  yield* shareStdio(all);
  yield* openGroups(all);
  const births = birthPlaces(request);
  for (const [index, directory] of births.entries()) {
    const place = [{ directory, version: 2 }] as const;
    yield* openGroups({ ...all, groups: place }, `birth:${index}`);
    yield* openGroups({ ...all, groups: place, writesGroups: true }, `move:${index}`);
  }
  // Who is inside must not trace us, nor steal our descriptors or our program (CVE-2016-9962, CVE-2019-5736).
  yield dumpable("forbid tracing", 0);
  const last = enteredLast(all, request);
  const first = request.namespaces.filter((type) => !last.includes(type));
  if (first.length > 0) yield enter(all, first);
  const start = (birth: number | undefined, rest: Partial<Op>): Op => {
    const where = birth === undefined ? "" : ` in cgroup "${births[birth]}"`;
    const does = `start the program's process${where}`;
    const args = cloneArgs({ PIDFD: CLONE.PIDFD, PARENT: CLONE.PARENT }, 0, {
      pidfd: { address: "init:pidfd" },
      ...(birth !== undefined && { cgroup: slot(`birth:${birth}:0`) }),
    });
    return op(does, "clone3", [args, CLONE_ARGS_BYTES], {
      into: "init:pid",
      zero: "joined",
      positive: "born",
      ...rest,
    });
  };
  // A group whose controllers are handed on to those below has no processes of its own (cgroups(7)).
  for (const [index] of births.entries()) {
    const isLast = index + 1 === births.length;
    yield start(index, {
      label: `birth:${index}`,
      ignore: isLast ? ["EAGAIN"] : ["EBUSY", "EAGAIN"],
      ignored: isLast ? "full" : `birth:${index + 1}`,
    });
  }
  // Nobody is born past the limit of processes, but one can be moved there: to look for what has begun them all.
  yield start(undefined, births.length > 0 ? { label: "full", zero: "moved" } : {});
  yield mark("born");
  yield* depart();
}

/** Where it can be born: the sandbox's group of version 2, and init's, if that is another one. */
function birthPlaces({ groups, initGroup }: JoinRequest): readonly string[] {
  const own = groups.find(({ version }) => version === 2)?.directory;
  if (own === undefined) return [];
  return initGroup === undefined ? [own] : [own, initGroup];
}

/**
 * What the new process enters itself, when it is in its group: where the hierarchy is mounted with nsdelegate, whoever is in
 * a cgroup namespace and outside its root may not put another process anywhere (cgroups(7)). The user namespace gives an
 * unprivileged caller the right to enter the others; for root it comes with the last of them, which need not be its own:
 * CRIU makes cgroup namespaces outside.
 */
function enteredLast(all: Context, request: JoinRequest): readonly NamespaceType[] {
  if (all.namespace("cgroup") !== "joined" || birthPlaces(request).length === 0) return [];
  return all.host.privileged && all.namespace("user") === "joined" ? ["user", "cgroup"] : ["cgroup"];
}

/** What the launcher finds behind the program's own descriptors: a pidfd of init, then its root. */
function besideFd(all: Context, name: "init" | "init:root"): Named {
  const { preserved = 0 } = all;
  // The sixth of other launchers is not there.
  const first = all.idRange ? firstPreserved(all) - 1 : firstPreserved(all);
  return named(name, first + preserved + (name === "init" ? 0 : 1));
}

/** One call for all of them: the user namespace counts for the rights to enter the others (setns(2)). */
function enter(all: Context, namespaces: readonly NamespaceType[]): Op {
  const parts: Record<string, number> = {};
  for (const type of namespaces) parts[NAMESPACE_NAME[type]] = NAMESPACE_FLAG[type];
  return op(`enter the sandbox's namespaces (${namespaces.join(", ")})`, "setns", [
    besideFd(all, "init"),
    flags("CLONE_", parts),
  ]);
}

/** What becomes the program: it is inside from its first moment, but for what {@linkcode enteredLast} names. */
function* joined(all: Context, request: JoinRequest): Iterable<Op> {
  const births = birthPlaces(request);
  if (births.length > 0) yield mark("moved");
  for (const [index, directory] of births.entries()) {
    const isLast = index + 1 === births.length;
    yield op(`join cgroup "${directory}"`, "write", [slot(`move:${index}:0`), text("0"), 1], {
      positive: "joined",
      ...(!isLast && { ignore: ["EBUSY"] }),
    });
  }
  yield mark("joined");
  yield* joinGroups(all);
  const last = enteredLast(all, request);
  if (last.length > 0) yield enter(all, last);
  if (request.ownRoot) {
    const does = "enter the sandbox's root";
    yield op(does, "fchdir", [besideFd(all, "init:root")]);
    yield op(does, "chroot", ["."]);
  }
  // Whoever may trace everybody inside gets nothing of the host's.
  yield* closeDescriptors(all);
  const { initial, final } = all.spec.process?.execCPUAffinity ?? {};
  if (request.everyCpu && !initial && !final) yield everyCpu();
  yield* execAffinity(all, "final");
  if (all.namespace("user") === "joined") yield* becomeJoinedRoot(all);
  yield op("leave the launcher's session", "setsid", []);
  yield* resetSignals();
  if (!request.keepKeys) yield leaveKeys();
  const hasTerminal = all.spec.process?.terminal ?? false;
  if (hasTerminal || all.landlock) {
    const how = flags("O_", { PATH: O.PATH, DIRECTORY: O_DIRECTORY[all.arch], CLOEXEC: O.CLOEXEC });
    yield op("open the root", "openat", [AT_FDCWD, "/", how, 0], { into: "root" });
  }
  if (hasTerminal) yield* joinTerminal(all);
  yield* openLabelsInside(all);
  yield* applyLabels(all);
  yield* becomeProgram(all);
}
