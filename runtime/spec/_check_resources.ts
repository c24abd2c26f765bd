/** Rules for devices, cgroup limits and Intel's Resource Director. */

import type { Issue } from "../errors.ts";
import { pointerTo, quote } from "./problems.ts";
import { climbs, isAbsolute, isInterfaceName, isNumberList, type Rule } from "./_rule.ts";
import type { Int64, Spec } from "./config.ts";

/** The kernel keeps 12 bits of a major number and 20 of a minor one; more would name another device. */
const LAST_NUMBER = { major: 2 ** 12 - 1, minor: 2 ** 20 - 1 } as const;

export const RESOURCE_RULES: readonly Rule[] = [
  { about: "/linux/devices", check: devicesAreWhole },
  { about: "/linux/cgroupsPath", check: cgroupsPathStaysInside },
  { about: "/linux/resources/devices", check: deviceRulesHaveNumbers },
  { about: "/linux/resources/memory", check: memoryIsOrdered },
  { about: "/linux/resources/cpu", check: cpuIsInRange },
  { about: "/linux/resources/pids", check: pidsAreNotBelowNone },
  { about: "/linux/resources/blockIO", check: blockWeightsAreGiven },
  { about: "/linux/resources/network", check: prioritiesNameInterfaces },
  { about: "/linux/resources/rdma", check: rdmaLimitsAreGiven },
  { about: "/linux/resources/unified", check: unifiedNamesFiles },
  { about: "/linux/intelRdt", check: rdtIsOneDirectory },
];

function* devicesAreWhole({ linux }: Spec): Iterable<Issue> {
  const seen = new Set<string>();
  for (const [index, device] of (linux?.devices ?? []).entries()) {
    const pointer = `/linux/devices/${index}`;
    const refuse = (field: string, state: string): Issue => ({
      pointer: `${pointer}/${field}`,
      message: `Cannot make a device: ${state}`,
    });
    if (!isAbsolute(device.path)) yield refuse("path", "its path is not absolute");
    else if (climbs(device.path)) yield refuse("path", 'its path climbs with ".."');
    if (seen.has(device.path)) yield refuse("path", "another device has its path");
    seen.add(device.path);
    if (device.type === "p") continue;
    for (const part of ["major", "minor"] as const) {
      const number = device[part];
      if (number === undefined) yield refuse(part, `it has no ${part} number`);
      else if (!isDeviceNumber(number, part)) {
        yield refuse(part, `its ${part} number is above ${LAST_NUMBER[part]} or below 0`);
      }
    }
  }
}

function isDeviceNumber(number: Int64, part: "major" | "minor"): boolean {
  return number >= 0 && number <= LAST_NUMBER[part];
}

function* cgroupsPathStaysInside({ linux }: Spec): Iterable<Issue> {
  if (!climbs(linux?.cgroupsPath ?? "")) return;
  yield { pointer: "/linux/cgroupsPath", message: 'Cannot use the cgroup: its path climbs with ".."' };
}

function* deviceRulesHaveNumbers({ linux }: Spec): Iterable<Issue> {
  for (const [index, rule] of (linux?.resources?.devices ?? []).entries()) {
    for (const part of ["major", "minor"] as const) {
      // Engines write -1 for "all".
      if (rule[part] === undefined || BigInt(rule[part]) === -1n || isDeviceNumber(rule[part], part)) {
        continue;
      }
      const message = `Cannot write a device rule: its ${part} number is above ${
        LAST_NUMBER[part]
      } or below 0`;
      yield { pointer: `/linux/resources/devices/${index}/${part}`, message };
    }
  }
}

function* memoryIsOrdered({ linux }: Spec): Iterable<Issue> {
  const memory = linux?.resources?.memory;
  if (!memory) return;
  const refuse = (field: string, state: string): Issue => ({
    pointer: `/linux/resources/memory/${field}`,
    message: `Cannot limit memory: ${state}`,
  });
  for (const field of ["limit", "reservation", "swap", "kernel", "kernelTCP"] as const) {
    if ((memory[field] ?? 0) < -1) yield refuse(field, "a limit below -1 means nothing");
  }
  const { limit = 0, swap = 0, swappiness = 0 } = memory;
  if (swap > 0 && swap < limit) yield refuse("swap", "memory and swap together are below memory alone");
  if (swappiness > 100) yield refuse("swappiness", "swappiness goes from 0 to 100");
}

function* cpuIsInRange({ linux }: Spec): Iterable<Issue> {
  const cpu = linux?.resources?.cpu;
  if (!cpu) return;
  const refuse = (field: string, state: string): Issue => ({
    pointer: `/linux/resources/cpu/${field}`,
    message: `Cannot limit CPU time: ${state}`,
  });
  const { quota = 0, burst = 0, idle = 0 } = cpu;
  if (quota < -1) yield refuse("quota", "a quota below -1 means nothing");
  if (quota > 0 && burst > quota) yield refuse("burst", "burst is above quota");
  if (idle < 0 || idle > 1) yield refuse("idle", "idle is 0 or 1");
  for (const field of ["cpus", "mems"] as const) {
    const list = cpu[field];
    if (list && !isNumberList(list)) yield refuse(field, `${quote(list)} is no list such as "0-3,7"`);
  }
}

function* pidsAreNotBelowNone({ linux }: Spec): Iterable<Issue> {
  if ((linux?.resources?.pids?.limit ?? 0) >= -1) return;
  yield {
    pointer: "/linux/resources/pids/limit",
    message: "Cannot limit tasks: a limit below -1 means nothing",
  };
}

function* blockWeightsAreGiven({ linux }: Spec): Iterable<Issue> {
  const pointer = "/linux/resources/blockIO";
  const { weight, leafWeight, weightDevice = [] } = linux?.resources?.blockIO ?? {};
  yield* weightsAreInRange({ weight, leafWeight }, pointer);
  for (const [index, device] of weightDevice.entries()) {
    const here = `${pointer}/weightDevice/${index}`;
    if (device.weight === undefined && device.leafWeight === undefined) {
      yield { pointer: here, message: "Cannot weigh a block device: it has neither weight nor leafWeight" };
    }
    yield* weightsAreInRange({ weight: device.weight, leafWeight: device.leafWeight }, here);
  }
}

function* weightsAreInRange(weights: Record<string, number | undefined>, pointer: string): Iterable<Issue> {
  for (const [field, weight = 0] of Object.entries(weights)) {
    if (weight === 0 || (weight >= 10 && weight <= 1000)) continue; // 0 leaves it alone
    yield {
      pointer: `${pointer}/${field}`,
      message: "Cannot weigh block I/O: a weight goes from 10 to 1000",
    };
  }
}

function* prioritiesNameInterfaces({ linux }: Spec): Iterable<Issue> {
  for (const [index, { name }] of (linux?.resources?.network?.priorities ?? []).entries()) {
    if (isInterfaceName(name)) continue;
    const message = `Cannot prioritize traffic: ${quote(name)} is no name of an interface`;
    yield { pointer: `/linux/resources/network/priorities/${index}/name`, message };
  }
}

function* rdmaLimitsAreGiven({ linux }: Spec): Iterable<Issue> {
  for (const [device, { hcaHandles, hcaObjects }] of Object.entries(linux?.resources?.rdma ?? {})) {
    const pointer = pointerTo(["linux", "resources", "rdma", device]);
    if (hcaHandles === undefined && hcaObjects === undefined) {
      yield { pointer, message: "Cannot limit an RDMA device: it has neither hcaHandles nor hcaObjects" };
    }
    // The limit is a line of words in rdma.max.
    if (!/^[^\s/]+$/.test(device)) {
      yield { pointer, message: "Cannot limit an RDMA device: it has no proper name" };
    }
  }
}

function* unifiedNamesFiles({ linux }: Spec): Iterable<Issue> {
  for (const file of Object.keys(linux?.resources?.unified ?? {})) {
    if (/^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+$/.test(file)) continue;
    const message = `Cannot write ${quote(file)}: it is no cgroup file such as "memory.high"`;
    yield { pointer: pointerTo(["linux", "resources", "unified", file]), message };
  }
}

function* rdtIsOneDirectory({ linux }: Spec): Iterable<Issue> {
  if (!linux?.intelRdt) return;
  const { closID, l3CacheSchema, memBwSchema, schemata = [] } = linux.intelRdt;
  if (closID !== undefined && closID !== "/" && (/^\.{0,2}$/.test(closID) || /[/\n]/.test(closID))) {
    yield {
      pointer: "/linux/intelRdt/closID",
      message: "Cannot use a class of service: its name is no directory",
    };
  }
  const lines = {
    l3CacheSchema,
    memBwSchema,
    ...Object.fromEntries(schemata.map((line, at) => [`schemata/${at}`, line])),
  };
  for (const [field, line] of Object.entries(lines)) {
    if (!line?.includes("\n")) continue;
    yield { pointer: `/linux/intelRdt/${field}`, message: "Cannot write a schema: it is more than one line" };
  }
  if (memBwSchema !== undefined && !memBwSchema.startsWith("MB:")) {
    yield {
      pointer: "/linux/intelRdt/memBwSchema",
      message: 'Cannot write a schema: it does not start with "MB:"',
    };
  }
}

/** What runc warns of: no kernel of today limits its own memory apart, which the limit of all memory contains. */
export function* notLimited({ linux }: Spec): Iterable<Issue> {
  const { kernel } = linux?.resources?.memory ?? {};
  if (kernel === undefined || Number(kernel) === 0 || Number(kernel) === -1) return;
  const message = "Kernel memory settings are ignored and will be removed";
  yield { pointer: "/linux/resources/memory/kernel", message };
}
