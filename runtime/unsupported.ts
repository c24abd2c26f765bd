import { UnsupportedError } from "./errors.ts";
import type { Spec } from "./spec/config.ts";

/**
 * Refuses what a spec asks for and this version cannot apply: a control that is silently left out is worse than none.
 *
 * @throws {UnsupportedError} naming the property.
 */
export function refuseUnsupported(spec: Spec): void {
  const { process, hooks, linux } = spec;
  const { devices: rules, ...limits } = linux?.resources ?? {};
  const asked: Record<string, unknown> = {
    "/process/apparmorProfile": process?.apparmorProfile,
    "/process/selinuxLabel": process?.selinuxLabel,
    "/linux/mountLabel": linux?.mountLabel,
    "/linux/cgroupsPath": linux?.cgroupsPath,
    "/linux/intelRdt": linux?.intelRdt,
    "/linux/netDevices": linux?.netDevices,
    ...Object.fromEntries(Object.entries(hooks ?? {}).map(([kind, each]) => [`/hooks/${kind}`, each])),
    ...Object.fromEntries(Object.entries(limits).map(([kind, each]) => [`/linux/resources/${kind}`, each])),
  };
  for (const [pointer, value] of Object.entries(asked)) {
    if (isEmpty(value)) continue;
    throw new UnsupportedError(pointer, "this version has no support for it", "take it out of config.json");
  }
  // Without CAP_MKNOD no new device can be made, and those of the rootfs are shut by nodev: the usual rules hold.
  const canMake = process?.capabilities?.bounding?.includes("CAP_MKNOD") ?? false;
  if (canMake && rules?.some(({ allow }) => !allow)) {
    throw new UnsupportedError(
      "/linux/resources/devices",
      "with CAP_MKNOD it takes a cgroup, which this version does not make",
      "take CAP_MKNOD from the capabilities",
    );
  }
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === "") return true;
  return typeof value === "object" && value !== null && Object.values(value).every((each) => isEmpty(each));
}
