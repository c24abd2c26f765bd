import { cgroups } from "../../runtime/host/probe.ts";

/**
 * Where a proxy has cgroups of its own, so that it neither ends with whoever started it nor keeps to its limits: the root
 * of each hierarchy that is mounted, one a line.
 */
export function groupRoots(): string {
  const [mountinfo, own] = ["mountinfo", "cgroup"].map((name) => Deno.readTextFileSync(`/proc/self/${name}`));
  return cgroups(mountinfo!, own!).map(({ mountPoint }) => mountPoint).join("\n");
}

/** What the groups of a network's proxy are called. */
export function groupName(bridge: string): string {
  return `${bridge}-proxy`;
}
