import { type Fd, open } from "../ffi/fd.ts";
import { openInside } from "../ffi/look.ts";
import { O_DIRECTORY } from "../runtime/plan/abi.ts";
import type { Spec } from "../runtime/spec/config.ts";
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
  for (const path of paths) {
    // Below another mount, its place is not in the rootfs.
    if (path === "/" || paths.some((other) => other !== "/" && path.startsWith(`${other}/`))) continue;
    using there = openInside(root, path);
    if (there) continue;
    const parts = path.split("/").filter(Boolean);
    const name = parts.pop()!;
    using parent = directoryInside(root, parts);
    const source = sources.get(path);
    if (source === undefined || Deno.statSync(source).isDirectory) makeDirectory(parent, name);
    else makeFileAt(parent, name)[Symbol.dispose]();
  }
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
