import type { DeviceRule } from "../spec/linux.ts";

/**
 * What every sandbox may use whatever the rules say, as with runc: making nodes, the devices of OCI config-linux.md
 * ("Default Devices"), and its own terminals.
 */
export const ALWAYS: readonly DeviceRule[] = [
  { allow: true, type: "c", access: "m" },
  { allow: true, type: "b", access: "m" },
  ...[[1, 3], [1, 8], [1, 7], [5, 0], [1, 5], [1, 9], [136, -1], [5, 2]].map(([major, minor]) => (
    { allow: true, type: "c", major: major!, minor: minor!, access: "rwm" } as const
  )),
];

/** The kernel reads "a" as everything, whatever follows it. */
export function isForAll({ type = "a", major = -1, minor = -1, access }: DeviceRule): boolean {
  return type === "a" && Number(major) === -1 && Number(minor) === -1 && accessOf(access) === "rwm";
}

/** The letters of an access, all if there are none. */
export function accessOf(access = ""): string {
  return access === "" ? "rwm" : shared("rwm", access);
}

/** The letters that both have. */
export function shared(one: string, other: string): string {
  return [...one].filter((letter) => other.includes(letter)).join("");
}
