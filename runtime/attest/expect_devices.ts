import type { Context } from "../plan/context.ts";
import { DEFAULT_DEVICES, isDevDirectory } from "../plan/devices.ts";
import type { Device } from "../spec/config.ts";
import type { Expectation } from "./expectation.ts";
import { wholePath } from "./expect_mounts.ts";

/** The devices that must be what they are called: of those that a mount or a mask covers nothing is known. */
export function expectedDevices(all: Context): Expectation[] {
  const { mounts = [], linux } = all.spec;
  const devices = new Map<string, Device>();
  const given = mounts.some((each) => wholePath(each.destination) === "/dev" && !isDevDirectory(all, each));
  for (const device of [...(given ? [] : DEFAULT_DEVICES), ...(linux?.devices ?? [])]) {
    if (!(given && /^\/dev\/[^/]+$/.test(device.path))) devices.set(wholePath(device.path), device);
  }
  const covers = [...mounts.map(({ destination }) => destination), ...(linux?.maskedPaths ?? [])]
    .map(wholePath).filter((path) => path !== "/dev");
  return [...devices].filter(([path]) => !covers.some((cover) => isAtOrBelow(path, cover)))
    .map(([path, device]) => ({ fact: "device", of: path, must: "be", value: described(device) }));
}

function isAtOrBelow(path: string, cover: string): boolean {
  return path === cover || path.startsWith(cover === "/" ? "/" : `${cover}/`);
}

function described({ type, major = 0, minor = 0 }: Device): string {
  return type === "p" ? "p" : `${type === "b" ? "b" : "c"} ${major}:${minor}`;
}
