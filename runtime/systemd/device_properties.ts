import { ALWAYS, isForAll } from "../cgroup/device_rules.ts";
import type { DeviceRule } from "../spec/linux.ts";
import type { Property } from "./variant.ts";

/**
 * Device rules as systemd has them: only a list of what is allowed (systemd.resource-control(5)). Where rules deny parts
 * of what they allow, it allows more than they do: the rules themselves are enforced beside it.
 *
 * @param devices /proc/devices: systemd knows all devices of a driver by its name.
 */
export function deviceProperties(rules: readonly DeviceRule[], devices: string): Property[] {
  const all = [...rules, ...ALWAYS];
  const open = all.findLastIndex(isForAll);
  if (open !== -1 && all[open]!.allow) {
    return [["DevicePolicy", ["s", "auto"]], ["DeviceAllow", ["a(ss)", []]]];
  }
  const names = driverNames(devices);
  const allowed = new Map<string, string>();
  for (const { allow, type = "a", major = -1, minor = -1, access = "rwm" } of all.slice(open + 1)) {
    if (!allow) continue;
    for (const each of type === "a" ? ["b", "c"] as const : [type]) {
      const [word, path] = each === "b" ? ["block", "block"] : ["char", "char"];
      const one = Number(major) === -1
        ? [`${word}-*`]
        : Number(minor) === -1
        ? (names.get(`${each} ${major}`) ?? []).map((name) => `${word}-${name}`)
        : [`/dev/${path}/${major}:${minor}`];
      for (const what of one) allowed.set(what, joined(allowed.get(what) ?? "", access || "rwm"));
    }
  }
  return [["DevicePolicy", ["s", "strict"]], ["DeviceAllow", ["a(ss)", [...allowed]]]];
}

function joined(one: string, other: string): string {
  return [..."rwm"].filter((letter) => one.includes(letter) || other.includes(letter)).join("");
}

/** The names of the drivers by `c 136`. */
function driverNames(devices: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  let type = "";
  for (const line of devices.split("\n")) {
    if (line.startsWith("Character")) type = "c";
    if (line.startsWith("Block")) type = "b";
    const [, major, name] = /^\s*(\d+) (\S+)$/.exec(line) ?? [];
    if (name === undefined) continue;
    const names = found.get(`${type} ${major}`) ?? [];
    found.set(`${type} ${major}`, [...names, name]);
  }
  return found;
}
