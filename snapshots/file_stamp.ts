import { open } from "../ffi/fd.ts";
import { type FileLook, lookAt } from "../ffi/tree.ts";

/** How files are opened: links are not followed, and no fifo keeps anybody waiting. */
export const HOW: number = 0o4000 | (Deno.build.arch === "x86_64" ? 0o400000 : 0o100000); // O_NONBLOCK, O_NOFOLLOW
/**
 * So long after its last change it is certain that a file has not been changed again: nobody can set that time, but within a
 * tick of its clock a second change would not show.
 */
export const SETTLED_MS = 2000;

/** What changes with every change of a file; nothing if it was changed just now. */
export function stampOf(path: string): string | undefined {
  using file = open(path, HOW);
  return stampFrom(lookAt(file)!);
}

/** The same, of a file that was looked at. */
export function stampFrom(look: FileLook): string | undefined {
  const { device, inode, sizeBytes, modifiedNs, changedNs } = look;
  const isSettled = Number(changedNs / 1_000_000n) < Date.now() - SETTLED_MS;
  return isSettled ? [device, inode, sizeBytes, modifiedNs, changedNs].join() : undefined;
}
