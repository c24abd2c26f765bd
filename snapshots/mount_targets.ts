import { type Fd, open } from "../ffi/fd.ts";
import { openInside } from "../ffi/look.ts";
import { O_DIRECTORY } from "../runtime/plan/abi.ts";
import { mountOptions } from "../runtime/plan/mount_options.ts";
import type { Mount, Spec } from "../runtime/spec/config.ts";
import { configuredMounts, plain } from "./external_mounts.ts";
import { makeDirectoryAt, makeFileAt } from "../ffi/tree_write.ts";

/**
 * Makes the places of mounts in a rootfs that lacks them, as a container that is created does: engines restore on a new
 * one. No link in the rootfs leads outside of it.
 */
export function makeMountTargets(
  rootfs: string,
  { spec, bundle }: { readonly spec: Spec; readonly bundle: string },
): void {
  using root = open(rootfs, O_DIRECTORY[Deno.build.arch]);
  const paths = (spec.mounts ?? []).map(({ destination }) => plain(destination));
  const sources = configuredMounts({ spec, bundle });
  const kindOf = (path: string): "directory" | "file" => {
    const source = sources.get(path);
    return source === undefined || Deno.statSync(source).isDirectory ? "directory" : "file";
  };
  for (const path of paths) {
    if (path === "/") continue;
    const around = paths.filter((other) => other !== "/" && path.startsWith(`${other}/`));
    const [nearest] = around.sort((a, b) => b.length - a.length);
    if (nearest === undefined) {
      makeTarget(root, path, kindOf(path));
      continue;
    }
    // Below another mount it is not in the rootfs: but of files of the host, perhaps, or with what is kept in memory.
    const source = sources.get(nearest);
    const mount = spec.mounts?.findLast(({ destination }) => plain(destination) === nearest);
    if (source === undefined || !mount || isReadOnly(mount) || kindOf(nearest) === "file") continue;
    using directory = open(source, O_DIRECTORY[Deno.build.arch]);
    makeTarget(directory, path.slice(nearest.length), kindOf(path));
  }
}

function isReadOnly({ options = [], type }: Mount): boolean {
  const { set, setAll } = mountOptions(options, type);
  return "RDONLY" in set || "RDONLY" in setAll;
}

function makeTarget(root: Fd, path: string, kind: "directory" | "file"): void {
  using there = openInside(root, path);
  if (there) return;
  const parts = path.split("/").filter(Boolean);
  const name = parts.pop()!;
  using parent = directoryInside(root, parts);
  if (kind === "directory") makeDirectory(parent, name);
  else makeFileAt(parent, name)[Symbol.dispose]();
}

/** A directory below `root`, with what is missing of it made. */
function directoryInside(root: Fd, parts: readonly string[]): Fd {
  for (let depth = 1; depth <= parts.length; depth++) {
    const path = (count: number): string => `/${parts.slice(0, count).join("/")}`;
    using there = openInside(root, path(depth));
    if (there) continue;
    using parent = openInside(root, path(depth - 1));
    makeDirectory(parent!, parts[depth - 1]!);
  }
  return openInside(root, `/${parts.join("/")}`)!;
}

function makeDirectory(parent: Fd, name: string): void {
  makeDirectoryAt(parent, name);
  using made = openInside(parent, name);
  Deno.chmodSync(`/proc/self/fd/${made!.raw}`, 0o755);
}
