import { bareInit, bareLauncher } from "./bare.ts";
import { joinGroups } from "./cgroup_join.ts";
import { type Context, context, hasDetachedRoot, type PlanRequest, type Steps } from "./context.ts";
import { otherDevices } from "./devices.ts";
import { end } from "./end.ts";
import { resolveOrCreate } from "./files.ts";
import { maskedPaths, readonlyPaths } from "./hidden.ts";
import { becomeJoinedRoot, deathSignal, diesWithLauncher } from "./identity.ts";
import { CLONE } from "./kernel.ts";
import { awaitGuard, launcher, offsetLines, writeOffsets } from "./launcher.ts";
import { awaitLoopback, isNetworkLate, joinNetwork } from "./late_network.ts";
import { everyCpu } from "./limits.ts";
import { mounts } from "./mounts.ts";
import { bringLoopbackUp } from "./network.ts";
import { mark, named, type Op, op, type Plan, slot, zeros } from "./op.ts";
import { applyLabels, labelKeys, openLabels } from "./security_labels.ts";
import { dumpable, leaveKeys, resetSignals } from "./process.ts";
import { createHooks, hasEarlyHooks } from "./hooks.ts";
import { becomeProgram } from "./program.ts";
import { reportNames } from "./reports.ts";
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
    launcher(all, { opened, mapped, served: mounted.served ?? [] }),
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
  Pick<Steps, "before" | "connected" | "inside">
>;

function init(all: Context, { root, mounted, masks, devices }: Parts): Op[] {
  const ops: Op[] = [];
  // By hand: where generators hand on what other ones yield, each step passes through all of them.
  const add = (some: Iterable<Op> = []): void => {
    for (const one of some) ops.push(one);
  };
  const { spec, form } = all;
  const { process: program } = spec;
  const own = all.namespace("mount") === "new" || hasDetachedRoot(all);
  ops.push(diesWithLauncher(all) ? { ...deathSignal(), label: "init" } : mark("init"));
  add(joinGroups(all));
  if (form === "detached") ops.push(everyCpu());
  const ownUsers = all.namespace("user") === "new";
  if (all.namespace("user") === "joined") add(becomeJoinedRoot(all));
  ops.push(op("leave the launcher's session", "setsid", []));
  add(resetSignals());
  // The rights are there from the first step on; while init does what takes no ids, the launcher maps them.
  if (ownUsers) {
    add(settings(all));
    add(becomeRoot(all));
  }
  add(labelKeys(all));
  if (!all.keepKeys) ops.push(leaveKeys());
  if (!ownUsers) add(settings(all));
  add(reportNames(all));
  const offsets = offsetLines(all);
  if (offsets !== undefined && ownUsers) {
    ops.push(op("make a time namespace", "unshare", [named("CLONE_NEWTIME", CLONE.NEWTIME)]));
    // The change of user gave /proc/self to the host's root; nobody else is in this user namespace yet.
    ops.push(dumpable("set the time offsets", 1));
    add(writeOffsets(offsets));
    ops.push(dumpable("set the time offsets", 0));
  }
  ops.push(op("make files with exactly the modes asked for", "umask", [0]));
  if (own) {
    add(mounted.before);
    add(masks.before);
    add(devices.before);
  }
  add(openLabels(all));
  const early = hasEarlyHooks(all);
  if (!early) add(sysctls(all));
  add(root.before);
  if (isNetworkLate(all)) {
    add(joinNetwork());
    add(mounted.connected);
  }
  if (!early) add(root.inside);
  if (own) {
    add(mounted.inside);
    add(devices.inside);
  }
  if (early) {
    add(createHooks(all));
    // Some are about what hooks bring, such as devices of a network.
    add(sysctls(all));
    add(root.inside);
  }
  if (program?.terminal && form !== "standalone") add(terminal(all));
  if (own) add(directory(all));
  if (own) add(readonlyPaths(all));
  if (own) add(masks.inside);
  add(finishRoot(all));
  add(userLimits(all));
  add(applyLabels(all));
  if (!early) add(createHooks(all)); // there are none: it waits for its network, if it has one
  if (isNetworkLate(all)) add(awaitLoopback());
  else if (form === "standalone") add(awaitGuard());
  add(becomeProgram(all));
  return ops;
}

/** The settings of its new namespaces. */
function* settings(all: Context): Iterable<Op> {
  const { spec } = all;
  if (all.namespace("network") === "new" && !isNetworkLate(all)) yield* bringLoopbackUp();
  for (const [call, name] of [["sethostname", spec.hostname], ["setdomainname", spec.domainname]] as const) {
    if (name !== undefined) {
      yield op(`set the ${call.slice(3, -4)} name to "${name}"`, call, [name, byteLength(name)]);
    }
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
  if (diesWithLauncher(all)) yield deathSignal();
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
