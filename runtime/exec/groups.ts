import { LifecycleError, UsageError } from "../errors.ts";
import type { GroupDirectory } from "../plan/context.ts";
import { notIn } from "./words.ts";

/** A cgroup of a container, with the controllers of its hierarchy. */
export interface Group extends GroupDirectory {
  readonly controllers: string;
}

/**
 * Reads what `--cgroup` said: `PATH`, or `CONTROLLER[,CONTROLLER…]:PATH`, which may come several times.
 *
 * @returns Paths by controller; that of all under the empty name.
 * @throws {UsageError} in runc's words.
 */
export function readSubGroups(given: readonly string[]): Map<string, string> {
  const paths = new Map<string, string>();
  for (const each of given) {
    const [first = "", path, ...more] = each.split(":");
    if (more.length > 0) throw new UsageError(`invalid --cgroup argument: ${each}`);
    if (path === undefined) {
      if (given.length > 1) {
        throw new UsageError(`invalid --cgroup argument: ${each} (missing <controller>: prefix)`);
      }
      paths.set("", first);
      continue;
    }
    for (const controller of first.split(",")) {
      if (paths.has(controller)) {
        throw new UsageError(
          `invalid --cgroup argument(s): controller ${controller} specified multiple times`,
        );
      }
      paths.set(controller, path);
    }
  }
  return paths;
}

/**
 * The groups that a program joins: the container's, or some below them.
 *
 * @throws {LifecycleError} in runc's words, if there are none, or they are not below.
 */
export function subGroups(groups: readonly Group[], paths: ReadonlyMap<string, string>): GroupDirectory[] {
  const words = (group: Group): string[] => group.version === 2 ? [""] : group.controllers.split(",");
  const all = paths.size === 1 ? paths.get("") : undefined;
  for (const controller of paths.keys()) {
    if (controller === "" || groups.some((group) => words(group).includes(controller))) continue;
    throw new LifecycleError(
      `unable to create new parent process: unknown controller ${controller} in SubCgroupPaths`,
    );
  }
  return groups.map((group) => {
    const path = all ?? words(group).map((word) => paths.get(word)).find((each) => each !== undefined);
    const directory = path === undefined ? group.directory : below(group.directory, path);
    return { directory, version: group.version };
  });
}

function below(directory: string, path: string): string {
  const names: string[] = [];
  for (const name of path.split("/").filter((each) => each !== "" && each !== ".")) {
    if (name !== "..") names.push(name);
    else if (names.pop() === undefined && !path.startsWith("/")) {
      throw new LifecycleError(
        `unable to create new parent process: bad sub cgroup path: ${path} is not a sub cgroup path`,
      );
    }
  }
  const found = [directory, ...names].join("/");
  if (isThere(`${found}/cgroup.procs`)) return found;
  throw new LifecycleError(
    `unable to start container process: ${notIn(found, "no such file or directory")}`,
  );
}

/** The directory of the group of version 2 that a process is in, if there is one. */
export function unifiedGroupOf(pid: number, mountPoint: string): string | undefined {
  const path = /^0::(.*)$/m.exec(Deno.readTextFileSync(`/proc/${pid}/cgroup`))?.[1];
  if (path === undefined) return undefined;
  const found = `${mountPoint}${path}`;
  return isThere(`${found}/cgroup.procs`) ? found : undefined;
}

function isThere(path: string): boolean {
  try {
    return Deno.lstatSync(path).isFile;
  } catch {
    return false;
  }
}
