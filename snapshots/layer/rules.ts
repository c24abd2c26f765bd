import type { Spec } from "../../runtime/spec/config.ts";
import type { LayerRules } from "./apply.ts";
import { idsOf } from "./ids.ts";

/** null, zero, full, random, urandom, tty and ptmx: they do no more to the host than to the container. */
const HARMLESS = ["c 1:3", "c 1:5", "c 1:7", "c 1:8", "c 1:9", "c 5:0", "c 5:2"];

/** Whether an overlay keeps its marks in user.* attributes, as those of a user namespace do. */
export function hasUserMarks({ linux }: Spec): boolean {
  return linux?.namespaces?.some(({ type }) => type === "user") ?? false;
}

/** What files that were kept may be, by the config of now. */
export function rulesOf(spec: Spec): LayerRules {
  const mayMake = spec.process?.capabilities?.bounding?.includes("CAP_MKNOD") ?? false;
  const named = spec.linux?.devices?.map(({ type, major = 0, minor = 0 }) => {
    return `${type === "b" ? "b" : "c"} ${major}:${minor}`;
  }) ?? [];
  const own = hasUserMarks(spec);
  return {
    ids: idsOf(spec),
    allowsDevice: (kind, major, minor) => {
      const name = `${kind} ${major}:${minor}`;
      return HARMLESS.includes(name) || named.includes(name) || (mayMake && !own);
    },
  };
}
