import { resolve } from "@std/path";
import { isThere } from "../../ffi/look.ts";
import type { Bundle } from "../bundle.ts";
import type { Made } from "../image_of.ts";
import { stdioNames } from "../state/descriptor_name.ts";
import type { Spec } from "../spec/config.ts";
import type { Record } from "../state/record.ts";

/** The record of a container that is only intended: whoever deletes it knows by that what there may be. */
export function intendedRecord(
  id: string,
  { path, spec }: Pick<Bundle, "path"> & { readonly spec: Pick<Spec, "root" | "annotations"> },
  made: Pick<Made, "group">,
  stdio: readonly string[] = stdioNames(),
): Omit<Record, "version"> {
  return {
    id,
    bundle: path,
    rootfs: resolve(path, spec.root.path),
    annotations: spec.annotations ?? {},
    created: new Date().toISOString(),
    owner: Deno.uid()!,
    phase: "creating",
    stdio,
    ...groupsOf(made),
  };
}

/** The directories that will be made, those above them included. */
function groupsOf({ group }: Pick<Made, "group">): Pick<Record, "groups" | "parents" | "unit"> {
  if (!group) return { groups: [], parents: [] };
  const { unit } = group;
  const groups = group.groups.map(({ directory, version }) => {
    const { controllers = "" } = group.hierarchies.find((each) => {
      return directory.startsWith(`${each.mountPoint}/`);
    }) ?? {};
    return { directory, version, controllers };
  });
  // What lies above a unit is systemd's.
  if (unit) return { groups, parents: [], unit: { name: unit.unit.name, user: unit.user } };
  return { groups, parents: [...new Set(groups.flatMap(({ directory }) => missingAbove(directory)))] };
}

function missingAbove(directory: string): string[] {
  const parent = directory.slice(0, directory.lastIndexOf("/"));
  return isThere(parent) ? [] : [...missingAbove(parent), parent];
}
