import { parseMountinfo } from "./attest/parse.ts";

/**
 * The mount points of what is mounted on the root of this process itself, the last that was mounted first. With them
 * goes all that is mounted further below. (proc_pid_mountinfo(5))
 */
export function mountsOnRoot(mountinfo = Deno.readTextFileSync("/proc/self/mountinfo")): string[] {
  const mounts = parseMountinfo(mountinfo);
  const root = mounts.find(({ path }) => path === "/");
  return mounts.filter(({ id, parent }) => parent === root?.id && id !== parent).map(({ path }) => path)
    .reverse();
}
