import type { Resources } from "../spec/linux.ts";
import { read } from "./_tree.ts";
import { cgroupWrites, type Hierarchy } from "./files.ts";

/** What is written in one cgroup of a container, if it is only that. */
export interface KeptWrites {
  readonly hierarchy: Hierarchy;
  /** The controllers of version 2 that are passed on above it. */
  readonly passedOn?: string | undefined;
  readonly writes: readonly { readonly file: string; readonly value: string; readonly ifThere: boolean }[];
}

/**
 * What {@linkcode CgroupGroup.create} writes in each hierarchy in which it makes a whole group called `name`, which is
 * there; nothing if it does more than that.
 */
export function keptWrites(
  resources: Resources,
  mounted: readonly Hierarchy[],
  name: string,
): KeptWrites[] | undefined {
  // Version 2 has programs for devices; where it has controllers that takes another look.
  const listed = mounted.map((each) => {
    if (each.version === 1) return each;
    return {
      ...each,
      controllers: (read(`${each.mountPoint}/cgroup.controllers`) ?? "").replaceAll(" ", ","),
    };
  });
  const has1 = listed.some(({ version, controllers }) => {
    return version === 1 && controllers.split(",").includes("devices");
  });
  if (!has1 && (resources.devices ?? []).length > 0) return undefined;
  const all = cgroupWrites(resources, listed);
  if (all.some(({ mayBeIgnored, usage }) => mayBeIgnored || usage !== undefined)) return undefined;
  return listed.map((hierarchy) => {
    const { mountPoint, own, version } = hierarchy;
    const base = `${mountPoint}${own === "/" ? "" : own}`;
    const writes = all.filter((one) => one.mountPoint === mountPoint).map((one) => {
      const { file, value, otherwise, ifThere = false } = one;
      const found = otherwise && read(`${base}/${name}/${file}`) === undefined ? otherwise : { file, value };
      return { ...found, ifThere };
    });
    if (version === 1) return { hierarchy, writes };
    return { hierarchy, writes, passedOn: Deno.readTextFileSync(`${base}/cgroup.subtree_control`) };
  });
}
