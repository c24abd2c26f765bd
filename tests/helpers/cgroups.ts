import { probeHost } from "../../runtime/host/probe.ts";

/** Why no sandbox can do without a pid namespace here; nothing if one can. */
export function cannotTrack(): string | undefined {
  const tracks = probeHost().cgroups.some(({ version }) => version === 2);
  return tracks ? undefined : "needs cgroup v2, to end a sandbox without a pid namespace";
}

/** Why no sandbox can have limits here; nothing if one can. */
export function cannotLimit(): string | undefined {
  return probeHost().cgroups.length > 0 ? undefined : "needs cgroups for limits, and none are mounted";
}

/** Why runc runs nothing here; nothing if it does. */
export function cannotRunRunc(): string | undefined {
  return probeHost().cgroups.length > 0 ? undefined : "runc needs cgroups, and none are mounted";
}

/** Starts a program where no cgroup is mounted; the rest of the machine keeps them. */
export const WITHOUT_CGROUPS: readonly string[] = [
  ...["unshare", "--mount", "--propagation", "private", "sh", "-c"],
  'umount -R /sys/fs/cgroup 2>/dev/null; ! grep " - cgroup" /proc/self/mountinfo && exec "$@"',
  "sh",
];
