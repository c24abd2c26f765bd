import { capabilityMask } from "../plan/identity.ts";
import { type Context, context, type PlanRequest } from "../plan/context.ts";
import { needsHelpers } from "../plan/id_helpers.ts";
import { PERSONALITY } from "../plan/limits.ts";
import { isComparable, plainNumbers } from "../plan/reports.ts";
import { limitsOfUsers } from "../plan/sysctls.ts";
import { isTracked } from "../plan/tracker.ts";
import { offsetLines } from "../plan/launcher.ts";
import { CAPABILITY_SETS, type IdMapping, type Int64, NAMESPACES } from "../spec/config.ts";
import { expectedDevices } from "./expect_devices.ts";
import { expectedMounts } from "./expect_mounts.ts";
import type { Expectation, Expected } from "./expectation.ts";

/** RLIM_INFINITY of setrlimit(2). */
const UNLIMITED = 2n ** 64n - 1n;

/**
 * What init must be like when it waits at its start gate, by what was asked for and not by the steps that were planned.
 * Pure: the same request gives the same expectations.
 *
 * @example
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { expect } from "./expect.ts";
 * const openFiles = { soft: 1024, hard: 4096 };
 * const { facts } = expect({
 *   spec: { ociVersion: "1.3.0", root: { path: "rootfs" }, process: { cwd: "/", args: ["a"], noNewPrivileges: true } },
 *   bundle: "/b",
 *   root: { kind: "directory", path: "/b/rootfs" },
 *   host: { arch: "x86_64", uid: 0, gid: 0, privileged: true, lastCapability: 40, openFiles, cgroups: [] },
 *   sources: new Map(),
 *   form: "supervised",
 * });
 * equal(facts.find(({ fact }) => fact === "no_new_privs")?.value, "1");
 * ```
 */
export function expect(request: PlanRequest): Expected {
  const all = context(request);
  const own = all.namespace("mount") === "new";
  const facts = [
    ...process(all),
    ...namespaces(all),
    ...identity(all),
    ...capabilities(all),
    ...limits(all),
    ...reported(all),
    ...programs(all),
    ...cgroups(all),
    ...descriptors(all),
    ...(own ? [be("root", "/"), be("working directory", cwd(all), cwd(all)), ...expectedDevices(all)] : []),
  ];
  return own ? { facts, mounts: expectedMounts(all) } : { facts };
}

function be(fact: Expectation["fact"], value: string | number | bigint, of?: string): Expectation {
  return { fact, ...(of !== undefined && { of }), must: "be", value: String(value) };
}

function cwd({ spec }: Context): string {
  return spec.process?.cwd ?? "/";
}

function* process({ spec, filter, confinement }: Context): Iterable<Expectation> {
  const { noNewPrivileges, oomScoreAdj, user } = spec.process ?? {};
  const { personality } = spec.linux ?? {};
  yield be("parent", "this process");
  yield be("threads", 1);
  yield be("tracer", 0);
  yield be("blocked signals", `0x${"0".repeat(16)}`);
  yield be("ignored signals", "0x0");
  yield be("umask", `0${(user?.umask ?? 0o22).toString(8).padStart(3, "0")}`);
  // A caller that has it already passes it on.
  yield noNewPrivileges ? be("no_new_privs", 1) : { fact: "no_new_privs", must: "be ours" };
  yield be("seccomp filters", (confinement?.filters.length ?? 0) + (filter ? 1 : 0));
  if (oomScoreAdj !== undefined) yield be("oom_score_adj", oomScoreAdj);
  if (personality) yield be("personality", PERSONALITY[personality.domain].toString(16).padStart(8, "0"));
}

function* namespaces(all: Context): Iterable<Expectation> {
  const { spec, namespace } = all;
  const paths = new Map(spec.linux?.namespaces?.map(({ type, path }) => [type, path]));
  for (const type of NAMESPACES) {
    // Offsets are written before anybody is in there: in a user namespace init gets in by its execve.
    const later = type === "time" && offsetLines(all) !== undefined && namespace("user") === "new";
    const of = later ? "time_for_children" : type;
    switch (namespace(type)) {
      case "new":
        yield { fact: "namespace", of, must: "not be ours" };
        break;
      case "joined":
        yield { fact: "namespace", of, must: "be at", value: paths.get(type)! };
        break;
      case "shared":
        yield { fact: "namespace", of, must: "be ours" };
        break;
    }
  }
  if (namespace("time") !== "new") return;
  for (const [clock, { secs = 0, nanosecs = 0 }] of Object.entries(spec.linux?.timeOffsets ?? {})) {
    yield be("clock", `${secs} ${nanosecs}`, clock);
  }
}

function* identity(context: Context): Iterable<Expectation> {
  const { spec, namespace, host } = context;
  const { uid = 0, gid = 0, additionalGids = [] } = spec.process?.user ?? {};
  yield be("user", fourTimes(uid));
  yield be("group", fourTimes(gid));
  const own = namespace("user") === "new";
  const denied = own && !host.privileged && !needsHelpers(context);
  if (denied && additionalGids.length === 0) yield { fact: "groups outside", must: "be ours" };
  else yield be("groups", additionalGids.toSorted((a, b) => a - b).join(" ") || "none");
  if (!own) return;
  yield be("uid_map", idMap(spec.linux?.uidMappings));
  yield be("gid_map", idMap(spec.linux?.gidMappings));
  yield be("setgroups", denied ? "deny" : "allow");
}

/** Real, effective, saved, and for files. */
function fourTimes(id: number): string {
  return [id, id, id, id].join(" ");
}

function idMap(mappings: readonly IdMapping[] = []): string {
  return mappings.toSorted((a, b) => a.containerID - b.containerID)
    .map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}`).join(", ");
}

function* capabilities({ spec, namespace, host }: Context): Iterable<Expectation> {
  const asked = spec.process?.capabilities ?? {};
  const known = (1n << BigInt(host.lastCapability + 1)) - 1n;
  for (const set of CAPABILITY_SETS) {
    let mask = capabilityMask(asked[set]) & known;
    // The kernel grants only what is permitted and inheritable too (capabilities(7)).
    if (set === "ambient") mask &= capabilityMask(asked.permitted) & capabilityMask(asked.inheritable);
    const value = `0x${mask.toString(16).padStart(16, "0")}`;
    // Nothing adds to a bounding set but a user namespace.
    const must = set === "bounding" && namespace("user") !== "new" ? "be ours of" : "be";
    yield { fact: "capabilities", of: set, must, value };
  }
}

function* limits({ spec, host, confinement }: Context): Iterable<Expectation> {
  const asked = spec.process?.rlimits ?? [];
  const bounds = confinement?.rlimits ?? [];
  for (const { type, soft, hard } of bounds) {
    yield { fact: "limit", of: type, must: "be at most", value: `${limit(soft)}:${limit(hard)}` };
  }
  for (const { type, soft, hard } of asked) yield be("limit", `${limit(soft)}:${limit(hard)}`, type);
  if ([...asked, ...bounds].some(({ type }) => type === "RLIMIT_NOFILE")) return;
  const { soft, hard } = host.openFiles;
  yield be("limit", `${limit(Math.min(soft, hard))}:${limit(hard)}`, "RLIMIT_NOFILE");
}

function limit(value: Int64): string {
  const unsigned = BigInt.asUintN(64, BigInt(value));
  return unsigned === UNLIMITED ? "unlimited" : String(unsigned);
}

/** What init reports of itself. */
function* reported(all: Context): Iterable<Expectation> {
  const { hostname, domainname, linux } = all.spec;
  if (hostname !== undefined) yield be("host name", hostname);
  if (domainname !== undefined) yield be("domain name", domainname);
  for (const [key, value] of Object.entries(linux?.sysctl ?? {})) {
    if (isComparable(key, value)) yield be("kernel parameter", plainNumbers(value), key);
  }
  for (const [key, value] of limitsOfUsers(all)) {
    yield { fact: "limit of the user namespace", of: key, must: "be at most", value: `${value}:${value}` };
  }
}

/** The filters in the order in which they are installed: see plan/program.ts. */
function* programs({ spec, filter, confinement }: Context): Iterable<Expectation> {
  const early = filter && spec.process?.noNewPrivileges !== true;
  const own = confinement?.filters ?? [];
  const all = filter === undefined ? own : early ? [filter, ...own] : [...own, filter];
  for (const [index, { program }] of all.entries()) {
    yield { fact: "seccomp program", of: String(index), must: "be if told", value: program.toBase64() };
  }
}

/** In the groups that were made for it, and otherwise where the caller is. */
function* cgroups(all: Context): Iterable<Expectation> {
  const { groups = [], host } = all;
  for (const { controllers, mountPoint, version } of host.cgroups) {
    const group = groups.find(({ directory }) => directory.startsWith(`${mountPoint}/`));
    if (group) yield be("cgroup", group.directory.slice(mountPoint.length), controllers);
    else if (version === 1 || !isTracked(all)) yield { fact: "cgroup", of: controllers, must: "be ours" };
  }
}

function* descriptors({ filter, confinement }: Context): Iterable<Expectation> {
  const listeners = [...(confinement?.filters ?? []), filter].filter((each) => each?.notify);
  yield be("descriptors", ["0 1 2 3 4", ...listeners.map(() => "listener")].join(" "));
  yield be("descriptors left to the program", "0 1 2");
}
