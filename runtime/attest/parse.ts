/** The formats of /proc/<pid>, as far as they tell what a sandbox is. */

/** One line of mountinfo (proc_pid_mountinfo(5)). */
export interface MountLine {
  readonly id: number;
  /** The mount that it is on; one that is not listed lies outside of the process's root. */
  readonly parent: number;
  /** Major and minor number of its file system. */
  readonly device: string;
  /** The directory or file of its file system that is its root. */
  readonly root: string;
  /** Where it is, from the process's root. */
  readonly path: string;
  /** Of the mount: `ro`, `nosuid`, … */
  readonly options: readonly string[];
  /** `shared:1`, `master:2`, `unbindable`; empty if it is private. */
  readonly spreads: readonly string[];
  readonly type: string;
  /** Of the file system: `size=64k`, … */
  readonly data: readonly string[];
}

/** Every mount that a process can see. @throws {Error} if a line is not as it should be. */
export function parseMountinfo(text: string): MountLine[] {
  return lines(text).map((line) => {
    const words = line.split(" ");
    const dash = words.indexOf("-", 6);
    const [id, parent, device, root, path, options] = words;
    const [type, , data] = words.slice(dash + 1);
    if (dash < 0 || data === undefined) throw new Error(`Cannot read mountinfo: "${line}"`);
    return {
      id: Number(id),
      parent: Number(parent),
      device: device!,
      root: unescape(root!),
      path: unescape(path!),
      options: options!.split(","),
      spreads: words.slice(6, dash),
      type: type!,
      data: data.split(","),
    };
  });
}

/** Spaces and the like are written as octal numbers. */
function unescape(word: string): string {
  if (!word.includes("\\")) return word;
  return word.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
}

/** The value of a line of status; `undefined` where this kernel has none. */
export function statusLine(status: string, name: string): string | undefined {
  const start = status.startsWith(`${name}:`) ? 0 : status.indexOf(`\n${name}:`) + 1;
  if (start === 0 && !status.startsWith(`${name}:`)) return undefined;
  return status.slice(start + name.length + 1, status.indexOf("\n", start)).trim();
}

/** The numbers of a line of status. @throws {Error} if there is no such line. */
export function statusNumbers(status: string, name: string): number[] {
  const line = statusLine(status, name);
  if (line === undefined) throw new Error(`there is no ${name} in /proc/<pid>/status`);
  return line === "" ? [] : line.split(/\s+/).map(Number);
}

/** A range of ids of uid_map or gid_map (user_namespaces(7)). */
export interface IdRange {
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

/** The ranges of a uid_map or gid_map, the lowest id inside first. */
export function parseIdMap(text: string): IdRange[] {
  return lines(text).map((line) => {
    const [inside = NaN, outside = NaN, count = NaN] = line.trim().split(/\s+/).map(Number);
    return { inside, outside, count };
  }).sort((a, b) => a.inside - b.inside);
}

/** The id inside that is `outside` out here; -1 if it has none. */
export function idInside(map: readonly IdRange[], outside: number): number {
  const range = map.find((each) => outside >= each.outside && outside < each.outside + each.count);
  return range ? range.inside + outside - range.outside : -1;
}

/** The group in a hierarchy by its controllers; those of version 2 are empty (cgroups(7)). @throws {Error} without one. */
export function cgroupOf(text: string, controllers: string): string {
  const line = lines(text).find((each) => each.startsWith(`:${controllers}:`, each.indexOf(":")));
  if (line === undefined) throw new Error(`there is no hierarchy "${controllers}" in /proc/<pid>/cgroup`);
  return line.slice(line.indexOf(":") + controllers.length + 2);
}

/** The first column of limits (fs/proc/base.c). */
const TITLE_WIDTH = 26;

/** Soft and hard value of a resource limit, by its title in limits. @throws {Error} if it is not listed. */
export function limitOf(limits: string, title: string): string {
  const line = lines(limits).find((each) => each.slice(0, TITLE_WIDTH).trimEnd() === title);
  if (line === undefined) throw new Error(`there is no "${title}" in /proc/<pid>/limits`);
  const [soft, hard] = line.slice(TITLE_WIDTH).split(/\s+/);
  return `${soft}:${hard}`;
}

/** Seconds and nanoseconds by clock, of timens_offsets (time_namespaces(7)). */
export function parseOffsets(text: string): Map<string, string> {
  return new Map(
    lines(text).map((line) => {
      const [clock = "", secs, nanosecs] = line.trim().split(/\s+/);
      return [clock, `${secs} ${nanosecs}`];
    }),
  );
}

/** The flags of a descriptor, of fdinfo. @throws {Error} if there are none. */
export function descriptorFlags(fdinfo: string): number {
  const flags = statusLine(fdinfo, "flags");
  if (flags === undefined) throw new Error("there are no flags in /proc/<pid>/fdinfo");
  return parseInt(flags, 8);
}

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}
