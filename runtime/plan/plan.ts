import { ERRNO } from "./abi.ts";
import { bareInit, bareLauncher } from "./bare.ts";
import { joinGroups } from "./cgroup_join.ts";
import { type Context, context, type PlanRequest } from "./context.ts";
import { otherDevices } from "./devices.ts";
import { resolveOrCreate } from "./files.ts";
import { maskedPaths, readonlyPaths } from "./hidden.ts";
import { deathSignal, dropBounding, setCapabilities, setUser } from "./identity.ts";
import { CLONE, PR } from "./kernel.ts";
import { launcher, offsetLines, writeOffsets } from "./launcher.ts";
import { landlock } from "./landlock.ts";
import { rlimits, scheduling } from "./limits.ts";
import { mounts } from "./mounts.ts";
import { bringLoopbackUp } from "./network.ts";
import {
  type Arg,
  counted,
  mark,
  named,
  type Op,
  op,
  type Plan,
  slot,
  type Struct,
  text,
  zeros,
} from "./op.ts";
import {
  closeDescriptors,
  enterDirectory,
  execute,
  findProgram,
  leaveKeys,
  noNewPrivileges,
  policyFilter,
  resetSignals,
  seccomp,
  setUmask,
  startGate,
} from "./process.ts";
import { STATUS_FD } from "./protocol.ts";
import { finishRoot, rootfs } from "./rootfs.ts";
import { sysctls, userLimits } from "./sysctls.ts";
import { terminal } from "./terminal.ts";

/**
 * Decides everything that will be done to build the sandbox, as a list of system calls. Pure: the same request gives
 * the same plan, on any machine.
 *
 * @example
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { plan } from "./plan.ts";
 * const openFiles = { soft: 1024, hard: 4096 };
 * const { sections } = plan({
 *   spec: { ociVersion: "1.3.0", root: { path: "rootfs" }, linux: { namespaces: [{ type: "pid" }] } },
 *   bundle: "/b",
 *   root: { kind: "directory", path: "/b/rootfs" },
 *   host: { arch: "x86_64", uid: 0, gid: 0, privileged: true, lastCapability: 40, openFiles, cgroups: [] },
 *   sources: new Map(),
 *   form: "supervised",
 * });
 * equal(sections.map(({ by }) => by).join(), "launcher,init,end");
 * ```
 */
export function plan(request: PlanRequest): Plan {
  const all = context(request);
  if (all.bare) return ofSections(all, bareLauncher(all), bareInit(all));
  const root = rootfs(all);
  const mounted = mounts(all);
  const masks = maskedPaths(all);
  const devices = otherDevices(all);
  const opened = [...(root.launcher ?? []), ...(mounted.launcher ?? [])];
  const mapped = [...(root.mapped ?? []), ...(mounted.mapped ?? [])];
  return ofSections(
    all,
    launcher(all, { opened, mapped }),
    init(all, { root, mounted, masks, devices }),
  );
}

function ofSections(all: Context, launcher: Iterable<Op>, init: Iterable<Op>): Plan {
  return {
    arch: all.arch,
    sections: [
      { by: "launcher", ops: [...launcher] },
      { by: "init", ops: [...init] },
      { by: "end", ops: [...end(all)] },
    ],
  };
}

type Parts = Record<
  "root" | "mounted" | "masks" | "devices",
  { before?: readonly Op[]; inside?: readonly Op[] }
>;

function* init(all: Context, { root, mounted, masks, devices }: Parts): Iterable<Op> {
  const { spec, form } = all;
  const { process: program } = spec;
  const own = all.namespace("mount") === "new";
  yield form === "detached" ? mark("init") : { ...deathSignal(), label: "init" };
  yield* joinGroups(all);
  if (all.namespace("user") === "new") yield* becomeRoot(all);
  if (all.namespace("user") === "joined") yield* becomeJoinedRoot(all);
  yield op("leave the launcher's session", "setsid", []);
  yield* resetSignals();
  yield leaveKeys();
  if (all.namespace("network") === "new") yield* bringLoopbackUp();
  for (const [call, name] of [["sethostname", spec.hostname], ["setdomainname", spec.domainname]] as const) {
    if (name !== undefined) {
      yield op(`set the ${call.slice(3, -4)} name to "${name}"`, call, [name, byteLength(name)]);
    }
  }
  const offsets = offsetLines(all);
  if (offsets !== undefined && all.namespace("user") === "new") {
    yield op("make a time namespace", "unshare", [named("CLONE_NEWTIME", CLONE.NEWTIME)]);
    // The change of user gave /proc/self to the host's root; nobody else is in this user namespace yet.
    yield dumpable("set the time offsets", 1);
    yield* writeOffsets(offsets);
    yield dumpable("set the time offsets", 0);
  }
  yield op("make files with exactly the modes asked for", "umask", [0]);
  if (own) {
    yield* mounted.before ?? [];
    yield* masks.before ?? [];
    yield* devices.before ?? [];
  }
  yield* sysctls(all);
  yield* root.before ?? [];
  if (own) {
    yield* mounted.inside ?? [];
    yield* devices.inside ?? [];
  }
  if (program?.terminal && form !== "standalone") yield* terminal(all);
  if (own) yield* directory(all);
  if (own) yield* readonlyPaths(all);
  if (own) yield* masks.inside ?? [];
  yield* finishRoot(all);
  yield* userLimits(all);
  yield* rlimits(all);
  yield* scheduling(all);
  yield* dropBounding(all);
  // While every path can be reached and CAP_SYS_ADMIN is there: without no_new_privs Landlock takes it.
  yield* landlock(all);
  // Without no_new_privs a filter takes CAP_SYS_ADMIN too: it comes before the rights are dropped.
  const early = all.filter && program?.noNewPrivileges !== true ? all.filter : undefined;
  const late = early ? undefined : all.filter;
  // A filter that nobody looks at beforehand need not allow what waiting at the gate takes.
  const gateLast = !all.filter || all.attest === true;
  if (early) {
    if (!gateLast) yield* gate(all);
    yield* seccomp(early);
  }
  yield* setUser(all);
  yield* closeDescriptors(all);
  yield* enterDirectory(all);
  yield* setCapabilities(all);
  if (program?.noNewPrivileges) yield noNewPrivileges();
  yield setUmask(all);
  yield* blame(form, 1);
  yield* findProgram(all);
  yield* blame(form, 0);
  // The change of user shut /proc/<pid> to who lacks CAP_SYS_PTRACE. Nobody else has rights in a new user namespace.
  if (all.attest && all.namespace("user") === "new") yield dumpable("let the supervisor look", 1);
  for (const filter of all.confinement?.filters ?? []) yield* policyFilter(filter);
  if (late && !gateLast) yield* gate(all);
  if (late) yield* seccomp(late);
  if (gateLast) yield* gate(all);
  yield* blame(form, 1);
  yield execute(all);
}

/** Whether /proc/<pid> belongs to the process's user, or to the host's root (proc(5)). */
function dumpable(does: string, value: 0 | 1): Op {
  return op(does, "prctl", [named("PR_SET_DUMPABLE", PR.SET_DUMPABLE), value, 0, 0, 0]);
}

function* gate({ form }: Context): Iterable<Op> {
  if (form !== "standalone") yield* startGate();
}

/** Whether what fails from here on is the program's fault; a supervisor tells by the step. */
function* blame(form: Context["form"], program: 0 | 1): Iterable<Op> {
  if (form === "standalone") {
    yield op("remember whose fault it is", "let", [program], { into: "program:fault" });
  }
}

/** Waits until the ids are mapped, then takes the user namespace's root for the work to come, or another id it has. */
function* becomeRoot(all: Context): Iterable<Op> {
  const { uidMappings = [], gidMappings = [] } = all.spec.linux ?? {};
  const lowest = (maps: typeof uidMappings): number =>
    Math.min(...maps.map(({ containerID }) => containerID));
  const [uid, gid] = [lowest(uidMappings), lowest(gidMappings)];
  const does = "wait for the id maps";
  yield op(does, "close", [slot("mapped:write")]);
  yield op(does, "read", [slot("mapped:read"), zeros(8, "byte"), 1], {
    zero: "unmapped",
    positive: "mapped",
  });
  yield op("end, the launcher is gone", "exit_group", [1], { label: "unmapped" });
  yield op(`become group ${gid} of the user namespace`, "setresgid", [gid, gid, gid], { label: "mapped" });
  yield op(`become user ${uid} of the user namespace`, "setresuid", [uid, uid, uid]);
  if (all.form !== "detached") yield deathSignal();
}

/** Takes the root of the user namespace that was joined: the caller's own ids may not be in its maps, which only it knows. */
function* becomeJoinedRoot(all: Context): Iterable<Op> {
  const rest = { ignore: ["EINVAL"] } as const;
  yield op("become group 0 of the user namespace", "setresgid", [0, 0, 0], rest);
  yield op("become user 0 of the user namespace", "setresuid", [0, 0, 0], rest);
  if (all.form !== "detached") yield deathSignal();
}

function byteLength(value: string): number {
  return new TextEncoder().encode(value).length;
}

/** The working directory is made if it is missing, as runc does. */
function* directory({ spec, arch }: Context): Iterable<Op> {
  const cwd = spec.process?.cwd ?? "/";
  if (cwd.replaceAll("/", "") !== "") {
    yield* resolveOrCreate(`find the working directory "${cwd}"`, cwd, "cwd:fd", { arch, kind: "directory" });
  }
}

/** Where a failed step goes: it tells the supervisor, or the person in front of it. */
function* end({ form }: Context): Iterable<Op> {
  if (form !== "standalone") {
    yield op("report the failure", "write", [STATUS_FD, { address: "failed" }, 16], {
      label: "fail",
      failed: "over",
    });
    yield op("end", "exit_group", [1], { label: "over", failed: "crash" });
    yield crash();
    return;
  }
  const does = "report the failure";
  const says = (what: Arg, size: Arg): Op => op(does, "write", [2, what, size], { failed: "over" });
  const before = "sandbox: cannot ";
  yield { ...says(text(before), before.length), label: "fail" };
  yield op(does, "load", [slot("failed"), 1, 56], { into: "words" });
  yield* sayCounted("words", does);
  yield says(text(": "), 2);
  yield op(does, "load", [errnoTable(), slot("errno"), 8], { into: "words", zero: "unnamed" });
  yield* sayCounted("words", does);
  yield op(does, "let", [0], { label: "unnamed" });
  yield says(text("\n"), 1);
  // 126 and 127 are about the program, as in a shell; anything else is our own failure.
  yield op("tell whose fault it is", "let", [slot("program:fault")], { label: "over", zero: "ours" });
  for (const [name, label] of [["ENOENT", "missing"], ["EACCES", "forbidden"]] as const) {
    yield op(`tell ${name} from other errors`, "let", [slot("errno"), -1, ERRNO[name]], { zero: label });
  }
  for (const [code, label] of [[125, "ours"], [126, "forbidden"], [127, "missing"]] as const) {
    yield op("end", "exit_group", [code], { label, failed: "crash" });
  }
  yield crash();
}

/** Where even exit_group is forbidden, by the seccomp filter, a fault ends the process. */
function crash(): Op {
  const label = "crash";
  return op("end at any price", "load", [0, 0], {
    label,
    zero: label,
    positive: label,
    failed: label,
    ignored: label,
  });
}

function* sayCounted(words: string, does: string): Iterable<Op> {
  yield op(does, "load", [slot(words), 0], { into: `${words}:length` });
  yield op(does, "let", [slot(words), 1, 8], { into: `${words}:text` });
  yield op(does, "write", [2, slot(`${words}:text`), slot(`${words}:length`)], { failed: "over" });
}

/** The names of all error numbers, by number. */
function errnoTable(): Struct {
  const names = new Map(Object.entries(ERRNO).map(([name, number]) => [number, counted(name)]));
  return {
    struct: "errno names",
    members: Array.from({ length: 256 }, (_, number) => [`${number}`, 8, names.get(number as 1) ?? 0]),
  };
}
