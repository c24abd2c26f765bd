import { stampAt } from "../ffi/look.ts";
import { effectiveCapabilities, probeCaller } from "./host/probe.ts";
import type { RightsRequest } from "./plan/caller.ts";

/** Who calls now, as steps that go without Deno look for him, with these of his namespaces. */
export function rightsNow(namespaces: readonly string[]): RightsRequest {
  const { gid, openFiles } = probeCaller();
  const places = namespaces.map((name) => {
    const { inode, device } = stampAt(`/proc/self/ns/${name}`);
    return [name, { inode, device }] as const;
  });
  return {
    gid,
    openFiles,
    namespaces: Object.fromEntries(places),
    capabilities: effectiveCapabilities(),
  };
}
