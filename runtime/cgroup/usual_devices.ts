import type { DeviceRule } from "../spec/linux.ts";

/** Network tunnels, which runc lets every container use. */
const TUN: DeviceRule = { allow: true, type: "c", major: 10, minor: 200, access: "rwm" };

/** The device rules of a container, with that which runc adds to them beside what every sandbox may use. */
export function withUsualDevices(rules: readonly DeviceRule[] = []): DeviceRule[] {
  return [...rules, TUN];
}
