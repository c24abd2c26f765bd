import { UnsupportedError } from "../errors.ts";
import type { Resources } from "../spec/linux.ts";
import { blockIoWrites } from "./_block_io.ts";
import { cpuWrites } from "./_cpu.ts";
import { deviceWrites } from "./_devices.ts";
import { memoryWrites } from "./_memory.ts";
import {
  Hierarchies,
  type Hierarchy,
  isSet,
  limit,
  onlyVersion1,
  RESOURCES,
  type Write,
} from "./hierarchy.ts";

export type { Hierarchy, Write } from "./hierarchy.ts";

/** Files of the cgroup core that a bundle may set; the others move processes, kill, or break the group. */
const CORE_FILES = ["cgroup.max.depth", "cgroup.max.descendants", "cgroup.pressure"];

/** What runc says of files of version 2 where version 1 has the controllers; its users look for that. */
const INVALID = "invalid configuration";

/**
 * What to write in a new group so that `resources` holds, in the order that the kernel needs.
 *
 * @param resources `linux.resources` of config.json.
 * @param mounted The host's hierarchies; of version 2 with the controllers of its root.
 * @throws {UnsupportedError} naming the property that no mounted hierarchy can apply.
 *
 * @example
 * ```ts
 * import { deepEqual } from "node:assert/strict";
 * const v2 = { version: 2, controllers: "cpu,memory,pids", mountPoint: "/sys/fs/cgroup", own: "/" } as const;
 * const [write] = cgroupWrites({ pids: { limit: -1 } }, [v2]);
 * deepEqual([write?.file, write?.value, write?.pointer], ["pids.max", "max", "/linux/resources/pids/limit"]);
 * ```
 */
export function cgroupWrites(resources: Resources, mounted: readonly Hierarchy[]): Write[] {
  const hierarchies = new Hierarchies(mounted);
  const { cpu = {}, memory = {}, blockIO = {}, devices = [] } = resources;
  return [
    ...cpuWrites(cpu, hierarchies),
    ...memoryWrites(memory, hierarchies),
    ...pidsWrites(resources, hierarchies),
    ...blockIoWrites(blockIO, hierarchies),
    ...hugepageWrites(resources, hierarchies),
    ...rdmaWrites(resources, hierarchies),
    ...networkWrites(resources, hierarchies),
    ...deviceWrites(devices, hierarchies),
    // Last, as with runc: what names a file itself has the last word.
    ...unifiedWrites(resources, hierarchies),
  ];
}

function* pidsWrites({ pids }: Resources, hierarchies: Hierarchies): Iterable<Write> {
  if (pids === undefined) return;
  const pointer = `${RESOURCES}/pids/limit`;
  const { mountPoint } = hierarchies.with("pids", pointer);
  // Both versions spell it so, and 0 is a limit: no further task.
  yield { mountPoint, file: "pids.max", value: limit(pids.limit, 2), pointer };
}

/**
 * What is used, and where the kernel can what is reserved: that fails at mmap(2) instead of killing later, but
 * MAP_NORESERVE gets round it.
 */
function* hugepageWrites({ hugepageLimits = [] }: Resources, hierarchies: Hierarchies): Iterable<Write> {
  for (const [index, each] of hugepageLimits.entries()) {
    const pointer = `${RESOURCES}/hugepageLimits/${index}`;
    if (!/^\d+[KMG]B$/.test(each.pageSize)) {
      throw new UnsupportedError(`${pointer}/pageSize`, `"${each.pageSize}" is no size of huge pages`);
    }
    const { version, mountPoint } = hierarchies.with("hugetlb", pointer);
    const value = limit(each.limit, version);
    const [prefix, suffix] = [`hugetlb.${each.pageSize}`, version === 1 ? "limit_in_bytes" : "max"];
    yield { mountPoint, file: `${prefix}.${suffix}`, value, pointer };
    yield { mountPoint, file: `${prefix}.rsvd.${suffix}`, value, pointer, ifThere: true };
  }
}

function* rdmaWrites({ rdma = {} }: Resources, hierarchies: Hierarchies): Iterable<Write> {
  for (const [device, { hcaHandles, hcaObjects }] of Object.entries(rdma)) {
    const pointer = `${RESOURCES}/rdma/${escape(device)}`;
    const { mountPoint } = hierarchies.with("rdma", pointer);
    const words = [device];
    if (hcaHandles !== undefined) words.push(`hca_handle=${hcaHandles}`);
    if (hcaObjects !== undefined) words.push(`hca_object=${hcaObjects}`);
    yield { mountPoint, file: "rdma.max", value: words.join(" "), pointer };
  }
}

function* networkWrites({ network = {} }: Resources, hierarchies: Hierarchies): Iterable<Write> {
  const { classID, priorities = [] } = network;
  const place = (controller: string, pointer: string): string => {
    if (hierarchies.all.every(({ version }) => version === 2)) throw onlyVersion1(pointer);
    return hierarchies.with(controller, pointer).mountPoint;
  };
  if (isSet(classID)) {
    const pointer = `${RESOURCES}/network/classID`;
    const mountPoint = place("net_cls", pointer);
    yield { mountPoint, file: "net_cls.classid", value: String(classID), pointer };
  }
  for (const [index, { name, priority }] of priorities.entries()) {
    const pointer = `${RESOURCES}/network/priorities/${index}`;
    const mountPoint = place("net_prio", pointer);
    yield { mountPoint, file: "net_prio.ifpriomap", value: `${name} ${priority}`, pointer };
  }
}

function* unifiedWrites({ unified = {} }: Resources, { unified: hierarchy }: Hierarchies): Iterable<Write> {
  for (const [file, value] of Object.entries(unified)) {
    const pointer = `${RESOURCES}/unified/${escape(file)}`;
    if (hierarchy === undefined) {
      const remedy = "use the properties for cgroup v1 instead";
      throw new UnsupportedError(pointer, `${INVALID}: no hierarchy of cgroup v2 is mounted`, remedy);
    }
    const [controller = ""] = file.split(".");
    if (file.includes("/") || (controller === "cgroup" && !CORE_FILES.includes(file))) {
      throw new UnsupportedError(pointer, "it is no limit", "take it out of config.json");
    }
    if (controller !== "cgroup" && !hierarchy.controllers.split(",").includes(controller)) {
      const reason = `${INVALID}: the cgroup v2 hierarchy of this host has no controller "${controller}"`;
      throw new UnsupportedError(pointer, reason);
    }
    // The kernel takes one line at a time.
    for (const line of value.replace(/\n+$/, "").split("\n")) {
      yield { mountPoint: hierarchy.mountPoint, file, value: line, pointer };
    }
  }
}

/** A key as RFC 6901 writes it. */
function escape(key: string): string {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}
