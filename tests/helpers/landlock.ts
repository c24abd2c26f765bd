import { probeLandlock } from "../../runtime/host/probe.ts";
import { skip } from "./skip.ts";

const abi = probeLandlock() ?? 0;

/** Whether this kernel's Landlock is older than a version of its interface; then the test is skipped. */
export function lacksLandlock(version: number): boolean {
  if (abi < version) skip(`needs version ${version} of Landlock's interface, this kernel has ${abi}`);
  return abi < version;
}
