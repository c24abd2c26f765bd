import { CgroupGroup } from "./cgroup/group.ts";
import { UnsupportedError } from "./errors.ts";
import type { CgroupHierarchy, Host } from "./host/facts.ts";
import type { SandboxOptions } from "./options.ts";
import type { GroupDirectory } from "./plan/context.ts";
import type { Mount, Resources, Spec } from "./spec/config.ts";

/** One period of the CPU bandwidth controller, the kernel's default (Documentation/scheduler/sched-bwc.rst). */
const PERIOD_US = 100_000;

/** The spec with the limits of the options in its resources; they win over what it asks for itself. */
export function withLimits(spec: Spec, { cpus, memoryBytes, pids }: SandboxOptions): Spec {
  if (cpus === undefined && memoryBytes === undefined && pids === undefined) return spec;
  const asked = spec.linux?.resources ?? {};
  const resources: Resources = {
    ...asked,
    ...(cpus !== undefined &&
      { cpu: { ...asked.cpu, quota: Math.round(cpus * PERIOD_US), period: PERIOD_US } }),
    ...(memoryBytes !== undefined && { memory: { ...asked.memory, limit: memoryBytes, swap: memoryBytes } }),
    ...(pids !== undefined && { pids: { limit: pids } }),
  };
  return { ...spec, linux: { ...spec.linux, resources } };
}

/** The cgroup that a sandbox is to be born into. */
export interface GroupRequest {
  /** As {@linkcode CgroupGroup.create} takes it. */
  readonly path: string;
  readonly resources: Resources;
  readonly hierarchies: readonly CgroupHierarchy[];
  /** Whether the program can write to the files of its group, and so make others below it. */
  readonly reachable: boolean;
  /** What will be made. */
  readonly groups: readonly GroupDirectory[];
}

/**
 * The cgroup that `spec` asks for, if it asks for one: by limits, by a path, or by device rules that only a cgroup
 * can keep.
 *
 * @throws {UnsupportedError} if this host or user cannot have it.
 */
export function groupRequest(spec: Spec, id: string, host: Host): GroupRequest | undefined {
  const { cgroupsPath, resources = {} } = spec.linux ?? {};
  const { devices: rules, ...limits } = resources;
  // Without CAP_MKNOD no new device can be made, and those of the rootfs are shut by nodev: the usual rules hold.
  const canMake = spec.process?.capabilities?.bounding?.includes("CAP_MKNOD") ?? false;
  const needsRules = canMake && (rules?.some(({ allow }) => !allow) ?? false);
  if (isEmpty(limits) && !cgroupsPath && !needsRules) return undefined;
  if (!host.privileged) {
    throw new UnsupportedError(
      "/linux/resources",
      "this user may not make cgroups",
      "run as root, or without limits",
    );
  }
  const path = cgroupsPath || `ai-sandbox-${id}`;
  const hierarchies = host.cgroups;
  return {
    path,
    resources,
    hierarchies,
    reachable: spec.mounts?.some(showsCgroups) ?? false,
    groups: CgroupGroup.directoriesFor(path, resources, hierarchies),
  };
}

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
