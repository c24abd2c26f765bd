/** Cgroups: a bundle may limit itself, and no more. */

import { isEmpty } from "../limits.ts";
import type { BlockIoLimits, CpuLimits, Int64, MemoryLimits, Resources, Spec } from "../spec/config.ts";
import { isBind } from "./_file_systems.ts";
import { type Draft, onSpec, type Rule, type Terms, without } from "./rule.ts";

export const RESOURCE_RULES: readonly Rule[] = [
  onSpec(groupIsNotChosen),
  onResources(filesAreNotNamed),
  onResources(devicesAreNotOpened),
  onResources(trafficIsNotMarked),
  onResources(memoryIsBounded),
  onResources(timeIsBounded),
  onResources(tasksAreBounded),
  onResources(disksAreShared),
  { name: "onlyOwnGroupsAreSeen", apply: onlyOwnGroupsAreSeen },
];

function onResources(rule: (resources: Resources, terms: Terms) => Resources): Rule {
  const whole = onSpec((spec: Spec, terms) => {
    if (!spec.linux?.resources) return spec;
    return { ...spec, linux: { ...spec.linux, resources: rule(spec.linux.resources, terms) } };
  });
  return { ...whole, name: rule.name };
}

const AT = "/linux/resources";

function groupIsNotChosen(spec: Spec, { cut }: Terms): Spec {
  if (!spec.linux) return spec;
  const { cgroupsPath } = spec.linux;
  if (cgroupsPath) cut("/linux/cgroupsPath", cgroupsPath, "it could be somebody else's", "one of its own");
  return { ...spec, linux: without(spec.linux, "cgroupsPath") };
}

function filesAreNotNamed(resources: Resources, { cut }: Terms): Resources {
  const names = Object.keys(resources.unified ?? {});
  if (names.length > 0) cut(`${AT}/unified`, names.join(", "), "any file could be named");
  return without(resources, "unified");
}

/** Denying is what happens anyway: nobody inside can make a device, and nodev shuts those of the rootfs. */
function devicesAreNotOpened(resources: Resources, { cut }: Terms): Resources {
  for (const [index, rule] of (resources.devices ?? []).entries()) {
    if (rule.allow) {
      cut(`${AT}/devices/${index}`, rule, "only the devices that every sandbox has may be opened");
    }
  }
  return without(resources, "devices");
}

function trafficIsNotMarked(resources: Resources, { cut }: Terms): Resources {
  if (resources.network) cut(`${AT}/network`, resources.network, "marks steer the host's traffic");
  return without(resources, "network");
}

function memoryIsBounded(resources: Resources, { ceiling, cut }: Terms): Resources {
  const { memory } = resources;
  if (!memory) return resources;
  const { memoryBytes: most } = ceiling;
  const bounded = without(memory, "disableOOMKiller");
  if (memory.disableOOMKiller) {
    cut(`${AT}/memory/disableOOMKiller`, true, "what waits for memory forever holds what others wait for");
  }
  const over = (["limit", "swap"] as const).filter((field) => isOver(memory[field], most));
  for (const field of over) cut(`${AT}/memory/${field}`, memory[field], "it is above the caller's", most);
  const given: MemoryLimits = { ...bounded, ...Object.fromEntries(over.map((field) => [field, most])) };
  return { ...resources, memory: given };
}

/** The weight of a group that nobody has changed. */
const USUAL_SHARES = 1024;

function timeIsBounded(resources: Resources, { ceiling, cut }: Terms): Resources {
  const { cpu } = resources;
  if (!cpu) return resources;
  const { shares, quota, period = 100_000, realtimeRuntime } = cpu;
  let given: CpuLimits = without(without(cpu, "realtimeRuntime"), "realtimePeriod");
  if (realtimeRuntime) cut(`${AT}/cpu/realtimeRuntime`, realtimeRuntime, "others would have to wait for it");
  if (isOver(shares, USUAL_SHARES)) {
    cut(`${AT}/cpu/shares`, shares, "it weighs no more than others", USUAL_SHARES);
    given = { ...given, shares: USUAL_SHARES };
  }
  const most = ceiling.cpus === undefined ? undefined : Math.round(ceiling.cpus * Number(period));
  if (quota !== undefined && isOver(quota, most)) {
    cut(`${AT}/cpu/quota`, quota, "it is above the caller's", most);
    given = { ...given, quota: most! };
  }
  return { ...resources, cpu: given };
}

function tasksAreBounded(resources: Resources, { ceiling, cut }: Terms): Resources {
  const { pids } = resources;
  if (!pids || !isOver(pids.limit, ceiling.pids)) return resources;
  cut(`${AT}/pids/limit`, pids.limit, "it is above the caller's", ceiling.pids);
  return { ...resources, pids: { limit: ceiling.pids! } };
}

/** Rates only take away; weights are taken from the neighbours. */
function disksAreShared(resources: Resources, { cut }: Terms): Resources {
  const { blockIO } = resources;
  if (!blockIO) return resources;
  let given: BlockIoLimits = blockIO;
  for (const field of ["weight", "leafWeight", "weightDevice"] as const) {
    if (blockIO[field] === undefined) continue;
    if (blockIO[field] !== 0) cut(`${AT}/blockIO/${field}`, blockIO[field], "it weighs no more than others");
    given = without(given, field);
  }
  return { ...resources, blockIO: given };
}

/** Where the sandbox has no group of its own it would look into the one that its caller is in. */
function onlyOwnGroupsAreSeen({ spec, mounts }: Draft, { ceiling, facts, cut }: Terms): Draft {
  const { pids, memoryBytes, cpus } = ceiling;
  const limited = !isEmpty(spec.linux?.resources) || !isEmpty({ pids, memoryBytes, cpus });
  if (limited && facts.oneHierarchy) return { spec, mounts };
  const reason = limited
    ? "in hierarchies of version 1 the caller's groups would be seen"
    : "there are no limits, and so no cgroup of its own";
  const kept = mounts.filter(({ index, mount }) => {
    if (isBind(mount) || !/^cgroup2?$/.test(mount.type ?? "")) return true;
    cut(`/mounts/${index}`, mount.destination, reason);
    return false;
  });
  return { spec, mounts: kept };
}

/** Whether a limit, where -1 is none, is above `most`. */
function isOver(limit: Int64 | undefined, most: number | undefined): boolean {
  return limit !== undefined && most !== undefined && (limit < 0 || limit > most);
}
