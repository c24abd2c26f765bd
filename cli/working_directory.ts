import { UsageError } from "../mod.ts";

/**
 * Refuses what goes by the working directory if that has been removed, as it is for a shim whose pod has been stopped. The
 * executable is then at a place where nothing can lie that a relative path could name: Deno does not begin without one.
 */
export function refuseRemovedDirectory(): void {
  const find = Deno.cwd;
  Deno.cwd = () => {
    const path = find();
    if (path !== `/proc/${Deno.pid}/fdinfo`) return path;
    throw new UsageError(
      "Cannot find the working directory: it has been removed; go to another, or name whole paths",
    );
  };
}
