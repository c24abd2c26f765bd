/** What a test run could leave behind on a machine. */
export interface Machine {
  /** Mounts of ours, and namespaces kept by a mount. */
  readonly mounts: ReadonlySet<string>;
  /** Cgroups of ours that hold no process. */
  readonly cgroups: ReadonlySet<string>;
  /** Every process, as pid and start time. */
  readonly processes: ReadonlyMap<string, Process>;
}

/** A process as far as it tells whose it is. */
export interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  /** It carries the run's mark in its environment. */
  readonly marked: boolean;
  /** It runs in other namespaces than this process, or from an anonymous file. */
  readonly sandboxed: boolean;
}

/**
 * Reads what there is now.
 *
 * @param mark The environment entry (`NAME=value`) that the run's processes carry.
 */
export function look(mark: string): Machine {
  const processes = new Map<string, Process>();
  for (const { name } of Deno.readDirSync("/proc")) {
    if (/^\d+$/.test(name)) readProcess(Number(name), mark, processes);
  }
  return { mounts: new Set(mounts()), cgroups: new Set(emptyCgroups("/sys/fs/cgroup", 8)), processes };
}

/** A command line can be pages long. */
const NAME_COLUMNS = 160;

/** Names what is in `after` and was not in `before`, and belongs to the run. */
export function leftovers(before: Machine, after: Machine): string[] {
  const old = new Set([...before.processes.values()].map(({ pid }) => pid));
  const processes = [...after.processes].filter(([key, one]) =>
    // A process of somebody else's sandbox has a parent that is new too; an orphan's is not.
    !before.processes.has(key) && (one.marked || one.sandboxed && old.has(one.parent))
  );
  return [
    ...[...after.mounts].filter((one) => !before.mounts.has(one)).map((one) => `mount ${one}`),
    ...[...after.cgroups].filter((one) => !before.cgroups.has(one)).map((one) => `cgroup ${one}`),
    ...processes.map(([, { pid, name }]) => `process ${pid} (${name.slice(0, NAME_COLUMNS)})`),
  ];
}

function* mounts(): Iterable<string> {
  for (const line of (read("/proc/self/mountinfo") ?? "").split("\n")) {
    const [, , , root = "", target = "", ...rest] = line.split(" ");
    const [type, source] = rest.slice(rest.indexOf("-") + 1);
    if (type === "nsfs" || line.includes("ai-sandbox")) yield `${target} (${type} ${source} ${root})`;
  }
}

function* emptyCgroups(dir: string, depth: number): Iterable<string> {
  for (const name of list(dir)) {
    const path = `${dir}/${name}`;
    if (/ai-sandbox|\/box-\d|\/aisbx\w+-proxy$/.test(path) && read(`${path}/cgroup.procs`) === "") yield path;
    if (depth > 0) yield* emptyCgroups(path, depth - 1);
  }
}

function readProcess(pid: number, mark: string, into: Map<string, Process>): void {
  const dir = `/proc/${pid}`;
  const stat = read(`${dir}/stat`) ?? "";
  const [state, parent, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (!state || state === "Z") return;
  const sandboxed = link(`${dir}/exe`).startsWith("/memfd:") ||
    ["mnt", "net", "pid"].some((one) => {
      const theirs = link(`${dir}/ns/${one}`);
      return theirs !== "" && theirs !== link(`/proc/self/ns/${one}`);
    });
  into.set(`${pid} ${rest[17]}`, { // field 22 of stat: start time
    pid,
    parent: Number(parent),
    name: read(`${dir}/cmdline`)?.replaceAll("\0", " ").trim() ||
      stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")")),
    marked: (read(`${dir}/environ`) ?? "").split("\0").includes(mark),
    sandboxed,
  });
}

// Processes and cgroups may be gone, or another user's, by the time they are looked at.

function read(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}

function link(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return "";
  }
}

function list(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].filter((one) => one.isDirectory).map((one) => one.name);
  } catch {
    return [];
  }
}
