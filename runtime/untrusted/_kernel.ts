/** Devices, parameters of the kernel, covered paths, and what is left of the `linux` object. */

import { MASKED_PATHS, READONLY_PATHS } from "../defaults.ts";
import { pointerTo } from "../spec/problems.ts";
import type { Linux, Spec } from "../spec/config.ts";
import { onSpec, type Rule, type Terms, without } from "./rule.ts";

export const KERNEL_RULES: readonly Rule[] = [
  onLinux(devicesAreTheUsual),
  onLinux(networkDevicesStay),
  onLinux(parametersAreFew),
  onLinux(secretsAreMasked),
  onLinux(switchesAreReadOnly),
  onLinux(mountsDoNotSpread),
  onLinux(restGoes),
];

function onLinux(rule: (linux: Linux, terms: Terms) => Linux): Rule {
  const whole = onSpec((spec: Spec, terms) => ({ ...spec, linux: rule(spec.linux ?? {}, terms) }));
  return { ...whole, name: rule.name };
}

function devicesAreTheUsual(linux: Linux, { cut }: Terms): Linux {
  for (const [index, { path }] of (linux.devices ?? []).entries()) {
    cut(`/linux/devices/${index}`, path, "only the devices that every sandbox has are made");
  }
  return without(linux, "devices");
}

function networkDevicesStay(linux: Linux, { cut }: Terms): Linux {
  for (const name of Object.keys(linux.netDevices ?? {})) {
    cut(pointerTo(["linux", "netDevices", name]), name, "it is the host's");
  }
  return without(linux, "netDevices");
}

function parametersAreFew(linux: Linux, { ceiling, cut }: Terms): Linux {
  if (!linux.sysctl) return linux;
  const kept = Object.entries(linux.sysctl).filter(([key, value]) => {
    // The first separator decides what the others mean (sysctl(8)).
    const name = /[./]/.exec(key)?.[0] === "/" ? key.replaceAll("/", ".") : key;
    const known = ceiling.sysctls.includes(name);
    if (!known) cut(pointerTo(["linux", "sysctl", key]), value, "it is not among those that may be set");
    return known;
  });
  return { ...linux, sysctl: Object.assign(Object.create(null), Object.fromEntries(kept)) };
}

function secretsAreMasked(linux: Linux, terms: Terms): Linux {
  return { ...linux, maskedPaths: covered(linux, "maskedPaths", MASKED_PATHS, terms) };
}

function switchesAreReadOnly(linux: Linux, terms: Terms): Linux {
  return { ...linux, readonlyPaths: covered(linux, "readonlyPaths", READONLY_PATHS, terms) };
}

function covered(
  linux: Linux,
  field: "maskedPaths" | "readonlyPaths",
  least: readonly string[],
  { ceiling, cut }: Terms,
): readonly string[] {
  const asked = linux[field]?.filter((path) => !least.includes(path)) ?? [];
  const most = ceiling.coveredPaths;
  if (asked.length > most) {
    cut(`/linux/${field}`, `${asked.length} paths of its own`, "there are too many", `${most} of them`);
  }
  return [...new Set([...asked.slice(0, most), ...least])];
}

function mountsDoNotSpread(linux: Linux, { cut }: Terms): Linux {
  const { rootfsPropagation } = linux;
  if (!rootfsPropagation?.endsWith("shared")) return linux;
  cut("/linux/rootfsPropagation", rootfsPropagation, "mounts must not spread");
  return without(linux, "rootfsPropagation");
}

/** What concerns the whole host, or could be wider than what is in force. */
function restGoes(linux: Linux, { cut }: Terms): Linux {
  let left = linux;
  for (const field of ["mountLabel", "intelRdt", "memoryPolicy", "personality"] as const) {
    if (linux[field] === undefined) continue;
    if (linux[field] !== "") cut(`/linux/${field}`, linux[field], "it is not the bundle's to choose");
    left = without(left, field);
  }
  return left;
}
