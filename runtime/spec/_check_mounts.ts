/** Rules for mounts and the paths that are masked or made read-only. */

import type { Issue } from "../errors.ts";
import { mappingsAreDisjoint } from "./_check_namespaces.ts";
import { climbs, isAbsolute, isNew, namespaceOf, notNew, type Rule } from "./_rule.ts";
import type { Spec } from "./config.ts";

export const MOUNT_RULES: readonly Rule[] = [
  { about: "/mounts", reads: ["/mounts", "/linux/namespaces"], check: mountsNeedANewMountNamespace },
  { about: "/mounts", check: destinationsStayInside },
  { about: "/mounts", check: bindsHaveASource },
  { about: "/mounts", check: mountMappingsComeInPairs },
  { about: "/mounts", reads: ["/mounts", "/linux/namespaces"], check: idmapNeedsAMapping },
  {
    about: "/linux/maskedPaths",
    reads: ["/linux/maskedPaths", "/linux/namespaces"],
    check: (spec) => coveredPaths(spec, "maskedPaths", "mask"),
  },
  {
    about: "/linux/readonlyPaths",
    reads: ["/linux/readonlyPaths", "/linux/namespaces"],
    check: (spec) => coveredPaths(spec, "readonlyPaths", "protect"),
  },
  {
    about: "/linux/rootfsPropagation",
    reads: ["/linux/rootfsPropagation", "/linux/namespaces"],
    check: propagationNeedsANewMountNamespace,
  },
];

/**
 * In the host's own or in one that is joined the root can be a tree of mounts that lies in no namespace, if a user namespace does
 * not forbid that.
 */
function* mountsNeedANewMountNamespace(spec: Spec): Iterable<Issue> {
  const mount = namespaceOf(spec, "mount");
  if (mount === undefined && !namespaceOf(spec, "user")) return;
  if (spec.mounts?.length && !mayMount(spec)) {
    yield { pointer: "/mounts", message: `Cannot mount anything: ${notNew("mount", mount)}` };
  }
}

/** Whether there is a mount namespace beside the host's, in which the sandbox has the right to mount. */
function mayMount(spec: Spec): boolean {
  const mount = namespaceOf(spec, "mount");
  return isNew(mount) || (mount !== undefined && !isNew(namespaceOf(spec, "user")));
}

function* destinationsStayInside({ mounts }: Spec): Iterable<Issue> {
  for (const [index, { destination }] of (mounts ?? []).entries()) {
    const state = destination === "" ? "its destination is empty" : 'its destination climbs with ".."';
    if (destination !== "" && !climbs(destination)) continue;
    yield { pointer: `/mounts/${index}/destination`, message: `Cannot place a mount: ${state}` };
  }
}

function* bindsHaveASource({ mounts }: Spec): Iterable<Issue> {
  for (const [index, { source, options = [] }] of (mounts ?? []).entries()) {
    const binds = options.includes("bind") || options.includes("rbind");
    if (!binds || source || options.includes("remount")) continue;
    yield { pointer: `/mounts/${index}/source`, message: "Cannot make a bind mount: it has no source" };
  }
}

function* mountMappingsComeInPairs({ mounts }: Spec): Iterable<Issue> {
  for (const [index, { uidMappings, gidMappings }] of (mounts ?? []).entries()) {
    if (!uidMappings && !gidMappings) continue;
    const pointer = `/mounts/${index}`;
    const [uids, gids] = [uidMappings?.length ?? 0, gidMappings?.length ?? 0];
    if (uids > 0 && gids === 0) {
      yield {
        pointer: `${pointer}/uidMappings`,
        message: "Cannot map the ids of a mount: it has no gidMappings",
      };
    }
    if (gids > 0 && uids === 0) {
      yield {
        pointer: `${pointer}/gidMappings`,
        message: "Cannot map the ids of a mount: it has no uidMappings",
      };
    }
    yield* mappingsAreDisjoint(uidMappings, `${pointer}/uidMappings`);
    yield* mappingsAreDisjoint(gidMappings, `${pointer}/gidMappings`);
  }
}

function* idmapNeedsAMapping(spec: Spec): Iterable<Issue> {
  if (namespaceOf(spec, "user")) return; // its map is used
  for (const [index, { options = [], uidMappings, gidMappings }] of (spec.mounts ?? []).entries()) {
    const asked = options.includes("idmap") || options.includes("ridmap");
    if (!asked || uidMappings?.length || gidMappings?.length) continue;
    const message = "Cannot map the ids of a mount: it has no mappings and the user namespace is shared";
    yield { pointer: `/mounts/${index}/options`, message };
  }
}

function* coveredPaths(spec: Spec, field: "maskedPaths" | "readonlyPaths", verb: string): Iterable<Issue> {
  const paths = spec.linux?.[field] ?? [];
  const mount = namespaceOf(spec, "mount");
  if (paths.length > 0 && !mayMount(spec)) {
    yield { pointer: `/linux/${field}`, message: `Cannot ${verb} a path: ${notNew("mount", mount)}` };
  }
  for (const [index, path] of paths.entries()) {
    if (isAbsolute(path)) continue;
    yield { pointer: `/linux/${field}/${index}`, message: `Cannot ${verb} a path: it is not absolute` };
  }
}

function* propagationNeedsANewMountNamespace(spec: Spec): Iterable<Issue> {
  const mount = namespaceOf(spec, "mount");
  if (spec.linux?.rootfsPropagation === undefined || mayMount(spec)) return;
  yield {
    pointer: "/linux/rootfsPropagation",
    message: `Cannot change the propagation of the root: ${notNew("mount", mount)}`,
  };
}
