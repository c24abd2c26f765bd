import { basename } from "@std/path";
import { census } from "../helpers/census.ts";

/** Kernel objects that each sandbox has one or more of; /proc/slabinfo counts them for root. */
const OBJECTS = [
  "net_namespace",
  "pid_namespace",
  "user_namespace",
  "mnt_cache",
  "task_struct",
  "mem_cgroup",
];
/** Other programs' mounts. */
const FOREIGN = /ai-sandbox-(test|bench)-/;
const DIRECTORY = "/run/ai-sandbox";
/** Files there that stay on purpose. */
const KEPT = [
  "images",
  "filters",
  "runs",
  "creates",
  "recreates",
  "templates",
  "shapes",
  "execs",
  "seals",
  "criu",
  "ids",
].map(
  (name) => `${DIRECTORY}/${name}`,
);

/** What there is at a moment that sandboxes could leave behind. */
export interface Holdings {
  /**
   * Processes, namespaces, descriptors, mounts, cgroups, files: a line each. A range of user ids is held by a
   * descriptor of ours or by a guard's.
   */
  readonly lines: ReadonlySet<string>;
  /** How many objects of a kind the kernel has, its reserves included. */
  readonly objects: ReadonlyMap<string, number>;
}

/** Takes stock. `directory` is all ours: nothing in it may change. */
export function holdings(directory: string): Holdings {
  // Cgroups and temporary files of other programs come and go; the name of ours is in all that we make.
  const shared = /^(cgroup|\/)/;
  const own = basename(directory).replace("ai-sandbox-", "");
  const lines = census([directory]).filter((line) =>
    line.includes(own) || !shared.test(line) && !FOREIGN.test(line)
  );
  const slabs = read("/proc/slabinfo");
  const objects = OBJECTS.map((name): [string, number] => {
    return [name, Number(new RegExp(`^${name}\\s+(\\d+)`, "m").exec(slabs)?.[1] ?? 0)];
  });
  return { lines: new Set([...lines, ...files(DIRECTORY)]), objects: new Map(objects) };
}

/**
 * Names what has come and not gone.
 *
 * @param sandboxes How many there were in between: the kernel keeps freed objects in reserve, and other programs on the
 * machine come and go, so that only a leak in every hundredth sandbox tells itself from these by objects alone.
 */
export function left(before: Holdings, after: Holdings, sandboxes: number): string[] {
  const most = 1_500 + sandboxes / 100;
  const lines = [...after.lines].filter((line) => !before.lines.has(line));
  const objects = [...after.objects].map(([name, count]) => ({
    name,
    more: count - before.objects.get(name)!,
  }))
    .filter(({ more }) => more > most);
  return [...lines, ...objects.map(({ name, more }) => `${more} kernel objects of ${name}`)];
}

/** Files that this project keeps for all its processes. */
function files(directory: string): string[] {
  if (KEPT.includes(directory)) return [];
  try {
    return [...Deno.readDirSync(directory)].flatMap(({ name, isDirectory }) => {
      const path = `${directory}/${name}`;
      return isDirectory ? files(path) : KEPT.includes(path) ? [] : [`file ${path}`];
    });
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
