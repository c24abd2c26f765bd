import { isAbsolute, join } from "@std/path";
import type { PlanRequest } from "../plan/context.ts";
import { mountOptions } from "../plan/mount_options.ts";
import type { Beneath } from "../plan/sources.ts";
import type { Spec } from "../spec/config.ts";
import type { Facts } from "./facts.ts";

/** Whether `path` is `directory` or lies below it; both are absolute and without links. */
export function isBeneath(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}

/**
 * Where the plan finds the root and the sources of a spec that was cut down, so that nothing can be put in their place
 * between the look at them and their use.
 */
export function beneath(path: string, spec: Spec, facts: Facts): NonNullable<PlanRequest["beneath"]> {
  const inodes = new Map([...facts.sources.values()].map(({ real, kind, inode }) => [real, { kind, inode }]));
  const roots = [facts.bundle, ...facts.binds.map((each) => each.path)];
  const places = new Map<string, Beneath>();
  if (facts.root) places.set(join(path, spec.root.path), below(facts.root.real, facts.bundle));
  for (const { source = "", type, options = [] } of spec.mounts ?? []) {
    if (!mountOptions(options, type).bind || !isAbsolute(source)) continue;
    const root = roots.find((each) => isBeneath(source, each));
    if (root === undefined) continue;
    const { kind, inode } = inodes.get(source) ?? {};
    places.set(source, {
      ...below(source, root),
      ...(kind === "file" && inode !== undefined && { inode }),
    });
  }
  return places;
}

function below(path: string, root: string): Beneath {
  return { root, path: path.slice(root.length).replace(/^\//, "") };
}
