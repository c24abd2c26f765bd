import { UsageError } from "../errors.ts";
import type { Limits } from "../limits.ts";
import type { Resources, Spec } from "../spec/config.ts";
import type { Policy } from "./policy.ts";

/** One period of the CPU bandwidth controller, the kernel's default (Documentation/scheduler/sched-bwc.rst). */
const PERIOD_US = 100_000;

/**
 * The spec with no more of the machine than `policy` allows; what it asks for less is kept, and what the options say
 * holds whatever the policy does.
 *
 * @throws {UsageError} if there is to be no cgroup to keep them.
 */
export function withPolicyLimits(
  spec: Spec,
  policy: Pick<Policy, "name" | "resources"> | undefined,
  { memoryBytes, memorySwapBytes, pids, cpus, cgroupManager }: Limits,
): Spec {
  const most = policy?.resources;
  if (!most) return spec;
  const asked = spec.linux?.resources ?? {};
  const changes: Resources = {
    ...(most.memoryBytes !== undefined && memoryBytes === undefined && memorySwapBytes === undefined &&
      { memory: memory(asked.memory, most.memoryBytes) }),
    ...(most.pids !== undefined && pids === undefined &&
      { pids: { limit: tasks(asked.pids?.limit, most.pids) } }),
    ...(most.cpus !== undefined && cpus === undefined && { cpu: cpu(asked.cpu, most.cpus) }),
  };
  if (Object.keys(changes).length === 0) return spec;
  if (cgroupManager === "disabled") {
    throw new UsageError(
      `Cannot keep the limits of policy "${policy.name}" without a cgroup: leave cgroupManager out, or use another policy`,
    );
  }
  return { ...spec, linux: { ...spec.linux, resources: { ...asked, ...changes } } };
}

function memory(asked: Resources["memory"] = {}, most: number): NonNullable<Resources["memory"]> {
  // Swap counts memory too: what does not fit goes nowhere else.
  return { ...asked, limit: least(asked.limit, most), swap: least(asked.swap, most) };
}

function cpu(asked: Resources["cpu"] = {}, most: number): NonNullable<Resources["cpu"]> {
  const period = Number(asked.period ?? 0) || PERIOD_US;
  return { ...asked, period, quota: least(asked.quota, Math.round(most * period)) };
}

/** 0 is a limit here: no further task. */
function tasks(asked: number | bigint | undefined, most: number): number | bigint {
  return asked === 0 || asked === 0n ? 0 : least(asked, most);
}

/** 0 and less stand for no limit. */
function least(asked: number | bigint | undefined, most: number): number | bigint {
  return asked !== undefined && asked > 0 && asked < most ? asked : most;
}
