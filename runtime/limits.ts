import { undelegated, withBases } from "./cgroup/base.ts";
import { CgroupGroup } from "./cgroup/group.ts";
import { withUsualDevices } from "./cgroup/usual_devices.ts";
import { UnsupportedError, UsageError } from "./errors.ts";
import type { CgroupHierarchy, Host } from "./host/facts.ts";
import type { IoMax, SandboxOptions } from "./options.ts";
import type { GroupDirectory, PlanRequest } from "./plan/context.ts";
import { baseOfManager, type Unit, unitOf } from "./systemd/unit.ts";
import type { BlockIoLimits, BlockIoRate, Mount, Resources, Spec, StringMap } from "./spec/config.ts";

/** One period of the CPU bandwidth controller, the kernel's default (Documentation/scheduler/sched-bwc.rst). */
const PERIOD_US = 100_000;

/** What options say of limits; every image that is kept has them in its key. */
export type Limits = Pick<
  SandboxOptions,
  "cpus" | "cpuset" | "memoryBytes" | "memorySwapBytes" | "pids" | "ioMax" | "cgroupManager"
>;

/**
 * The spec with the limits of the options in its resources; they win over what it asks for itself.
 *
 * @throws {UsageError} if they contradict each other, or name no block device.
 */
export function withLimits(spec: Spec, limits: Limits): Spec {
  const { cpus, cpuset, memoryBytes, memorySwapBytes, pids, ioMax, cgroupManager } = limits;
  const given = Object.entries({ cpus, cpuset, memoryBytes, memorySwapBytes, pids, ioMax }).filter((
    [, each],
  ) => each !== undefined);
  if (given.length === 0) return spec;
  if (cgroupManager === "disabled") {
    throw new UsageError(`Cannot apply ${given[0]![0]} without a cgroup: leave it or cgroupManager out`);
  }
  const asked = spec.linux?.resources ?? {};
  const swap = memorySwapBytes ?? memoryBytes;
  const resources: Resources = {
    ...asked,
    ...((cpus !== undefined || cpuset !== undefined) && {
      cpu: {
        ...asked.cpu,
        ...(cpus !== undefined && { quota: Math.round(cpus * PERIOD_US), period: PERIOD_US }),
        ...(cpuset !== undefined && { cpus: cpuset }),
      },
    }),
    ...(swap !== undefined &&
      { memory: { ...asked.memory, ...(memoryBytes !== undefined && { limit: memoryBytes }), swap } }),
    ...(pids !== undefined && { pids: { limit: pids } }),
    ...(ioMax !== undefined && { blockIO: { ...asked.blockIO, ...rates(ioMax) } }),
  };
  return { ...spec, linux: { ...spec.linux, resources } };
}

const RATES = [
  ["rbps", "throttleReadBpsDevice"],
  ["wbps", "throttleWriteBpsDevice"],
  ["riops", "throttleReadIOPSDevice"],
  ["wiops", "throttleWriteIOPSDevice"],
] as const;

function rates(devices: readonly IoMax[]): BlockIoLimits {
  const found: Partial<Record<(typeof RATES)[number][1], BlockIoRate[]>> = {};
  for (const each of devices) {
    const numbers = deviceNumbers(each.device);
    for (const [key, field] of RATES) {
      const rate = each[key];
      if (rate !== undefined) (found[field] ??= []).push({ ...numbers, rate });
    }
  }
  return found;
}

/** The numbers of `/dev/sda` or `8:0`, as makedev(3) puts them together. */
function deviceNumbers(device: string): { major: number; minor: number } {
  const [, major, minor] = /^(\d+):(\d+)$/.exec(device) ?? [];
  if (major !== undefined) return { major: Number(major), minor: Number(minor) };
  let found: Deno.FileInfo | undefined;
  try {
    found = Deno.statSync(device);
  } catch {
    // it is said below
  }
  if (!found?.isBlockDevice || found.rdev === null) {
    throw new UsageError(`Cannot limit "${device}": it is no block device; name one such as /dev/sda or 8:0`);
  }
  const { rdev } = found;
  return { major: (rdev >> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >> 12) & 0xfff00) };
}

/** The unit of systemd that a container is to be in. */
export interface UnitRequest {
  readonly unit: Unit;
  /** Whether it is one of the user's instance. */
  readonly user: boolean;
  /** Of the cgroup hierarchies. */
  readonly version: 1 | 2;
  /** Those of the bundle, which may ask for properties. */
  readonly annotations: StringMap<string>;
}

/** The cgroup that a sandbox is to be born into. */
export interface GroupRequest {
  /** As {@linkcode CgroupGroup.create} takes it. */
  readonly path: string;
  readonly resources: Resources;
  readonly hierarchies: readonly CgroupHierarchy[];
  /** Whether the program can write to the files of its group, and so make others below it. */
  readonly reachable: boolean;
  /** Whether it is there in every hierarchy, and may have been before. */
  readonly complete: boolean;
  /** What systemd makes of it, if that is to do so. */
  readonly unit?: UnitRequest;
  /** What will be made. */
  readonly groups: readonly GroupDirectory[];
}

/**
 * The cgroup that `spec` asks for, if it asks for one: by limits, by a path, or by device rules that only a cgroup
 * can keep.
 *
 * @throws {UnsupportedError} if this host or user cannot have it.
 */
export function groupRequest(
  spec: Spec,
  { id = "new", cgroupManager }: Pick<SandboxOptions, "id" | "cgroupManager">,
  host: Host,
  form: PlanRequest["form"] = "supervised",
): GroupRequest | undefined {
  const { cgroupsPath, resources: asked = {} } = spec.linux ?? {};
  const { devices: rules, ...limits } = asked;
  // Without CAP_MKNOD no new device can be made, and those of the rootfs are shut by nodev: the usual rules hold. A user
  // without rights can make none with it either.
  const canMake = host.privileged && (spec.process?.capabilities?.bounding?.includes("CAP_MKNOD") ?? false);
  const needsRules = canMake && (rules?.some(({ allow }) => !allow) ?? false);
  if (cgroupManager === "disabled") {
    if (!needsRules) return undefined;
    const reason = "only a cgroup can keep a program with CAP_MKNOD from other devices";
    throw new UnsupportedError(
      "/linux/resources/devices",
      reason,
      "take away CAP_MKNOD, or let it have a cgroup",
    );
  }
  // What nobody watches is found, paused and ended by its group, and its limits can be changed: it has one where it can.
  const complete = form === "detached";
  const bySystemd = cgroupManager === "systemd";
  if (bySystemd && !complete) {
    throw new UsageError("Cannot use --systemd-cgroup for a sandbox that is not detached: leave it out");
  }
  const mustHave = complete && (bySystemd || host.privileged || isDelegated(host));
  if (isEmpty(limits) && !cgroupsPath && !needsRules && !mustHave) return undefined;
  const devices = complete ? withUsualDevices(rules) : rules;
  const resources = host.privileged ? { ...limits, ...(devices && { devices }) } : limits;
  const hierarchies = withBases(host.cgroups, host.privileged);
  if (!host.privileged && !bySystemd) {
    const controllers = CgroupGroup.controllersFor(resources, hierarchies);
    const mountinfo = Deno.readTextFileSync("/proc/self/mountinfo");
    const reason = undelegated(hierarchies, { controllers, uid: host.uid, mountinfo });
    if (reason !== undefined) throw new UnsupportedError("/linux/resources", reason, DELEGATE);
  }
  const unit = bySystemd ? unitRequest(spec, id, host) : undefined;
  const path = unit ? unit.unit.path : cgroupsPath || (complete ? id : `ai-sandbox-${id}`); // a container's as with runc
  return {
    path,
    ...(unit && { unit }),
    resources,
    hierarchies,
    reachable: spec.mounts?.some(showsCgroups) ?? false,
    complete,
    groups: CgroupGroup.directoriesFor(path, resources, hierarchies, { complete }),
  };
}

function unitRequest(
  { linux, annotations = {} }: Spec,
  id: string,
  { privileged, uid, cgroups }: Host,
): UnitRequest {
  const user = !privileged;
  const base = baseOfManager(
    Deno.readTextFileSync(user ? "/proc/self/cgroup" : "/proc/1/cgroup"),
    user ? uid : undefined,
  );
  const version = cgroups.some((each) => each.version === 1) ? 1 : 2;
  const slice = user && version === 2 ? "user.slice" : "system.slice";
  return { unit: unitOf(linux?.cgroupsPath, { id, base, slice }), user, version, annotations };
}

/** Whether a user without rights has a group to make others in. */
function isDelegated({ cgroups, uid }: Host): boolean {
  const mountinfo = Deno.readTextFileSync("/proc/self/mountinfo");
  return undelegated(cgroups, { controllers: [], uid, mountinfo }) === undefined;
}

const DELEGATE =
  "run as root, or by systemd-run --user --scope -p Delegate=yes, or without limits (--cgroup-manager disabled)";
const CGROUPS = "/sys/fs/cgroup";

/** Whether the files of cgroups can be written through a mount. */
function showsCgroups({ type, source = "", options = [] }: Mount): boolean {
  const theirs = type === "cgroup" || type === "cgroup2" || (source !== "" && CGROUPS.startsWith(source)) ||
    source.startsWith(CGROUPS);
  return theirs && !options.includes("ro");
}

/** Whether nothing is asked for by a value: absent, or an object of such values. */
export function isEmpty(value: unknown): boolean {
  if (value === undefined || value === "") return true;
  return typeof value === "object" && value !== null && Object.values(value).every((each) => isEmpty(each));
}
