import type { MountLine } from "../../runtime/attest/parse.ts";
import { EMPTY } from "../../runtime/plan/hidden.ts";
import { GROUPS } from "../../runtime/plan/cgroup_mount.ts";
import { labelOf } from "../../runtime/plan/mount_label.ts";
import { type Attributes, type MountOptions, mountOptions } from "../../runtime/plan/mount_options.ts";
import type { Spec } from "../../runtime/spec/config.ts";
import { plain } from "../external_mounts.ts";

/** A file system in memory whose files are kept beside CRIU's images: CRIU would have tar and gzip do that. */
export interface MemoryMount {
  /** Where it is in the container. */
  readonly path: string;
  /** Its number, `major:minor`. */
  readonly device: string;
}

/** How a file system in memory is made. */
export interface MemoryOptions {
  readonly source: string;
  readonly data: MountOptions["data"];
  /** Attributes of the mount that are set and cleared. */
  readonly set: Attributes;
  readonly clear: Attributes;
}

/**
 * Those file systems in memory that the config asks for and that are in one place only. What the program has mounted
 * or bound itself is CRIU's, and so is everything in a user namespace: its root could not come to where they are mounted for
 * CRIU.
 */
export function memoryMounts(
  lines: readonly MountLine[],
  host: readonly MountLine[],
  spec: Spec,
): MemoryMount[] {
  if (spec.linux?.namespaces?.some(({ type }) => type === "user")) return [];
  const hosts = new Set(host.map(({ device }) => device));
  const isEmpty = ({ path, options, data }: MountLine): boolean =>
    isMask(path, spec) && options.includes("ro") && data.includes("mode=555") && data.includes("size=4k");
  return lines.filter((line) => {
    const { path, root, type, device } = line;
    if (type !== "tmpfs" || root !== "/" || path === "/" || hosts.has(device)) return false;
    if (isCovered(line, lines) || !memoryOptions(path, spec)) return false;
    const same = lines.filter((each) => each.device === device);
    return same.length === 1 || same.every(isEmpty); // one empty file system masks many paths
  }).map(({ path, device }) => ({ path, device }));
}

/** Whether something else is mounted on a mount, or on a directory above that it does not lie on. */
function isCovered(line: MountLine, lines: readonly MountLine[]): boolean {
  const above = new Set<MountLine>();
  for (let at: MountLine | undefined = line; at && !above.has(at);) {
    above.add(at);
    const parent: number = at.parent;
    at = lines.find(({ id }) => id === parent);
  }
  return lines.some((each) =>
    !above.has(each) && `${line.path}/`.startsWith(each.path === "/" ? "/" : `${each.path}/`)
  );
}

/** How the file system in memory at a path is made by the config of now; nothing if it asks for none there. */
export function memoryOptions(path: string, spec: Spec): MemoryOptions | undefined {
  if (isMask(path, spec)) return { source: "tmpfs", ...EMPTY, clear: {} };
  const asked = spec.mounts?.findLast(({ destination }) => plain(destination) === path);
  if (asked?.type !== "tmpfs" && asked?.type !== "cgroup") return undefined;
  const { bind, remount, copyUp, data, set, clear } = mountOptions(asked.options ?? [], asked.type);
  if (asked.type === "cgroup") return { source: "cgroup", data: GROUPS, set, clear };
  if (bind || remount || copyUp) return undefined;
  return { source: asked.source ?? "tmpfs", data: [...data, ...labelOf({ spec }, "tmpfs")], set, clear };
}

function isMask(path: string, { linux }: Spec): boolean {
  return linux?.maskedPaths?.some((each) => plain(each) === path) ?? false;
}
