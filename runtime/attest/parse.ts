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

const PRIVATE: readonly string[] = [];
/** What a line says beside the numbers it begins with, which are others in each sandbox. */
type Rest = Omit<MountLine, "id" | "parent" | "device">;
/** What lines were found to say: those of sandboxes of one kind are alike. */
const rests = new Map<string, Rest>();
const MOST_RESTS = 500;

/** Every mount that a process can see. @throws {Error} if a line is not as it should be. */
export function parseMountinfo(text: string): MountLine[] {
  const found: MountLine[] = [];
  for (let begin = 0; begin < text.length;) {
    const newline = text.indexOf("\n", begin);
    const end = newline < 0 ? text.length : newline;
    if (end > begin) found.push(parseLine(text, begin, end));
    begin = end + 1;
  }
  return found;
}

function parseLine(text: string, begin: number, end: number): MountLine {
  const first = text.indexOf(" ", begin) + 1;
  const second = text.indexOf(" ", first) + 1;
  const third = text.indexOf(" ", second) + 1;
  if (third <= second || second <= first || first <= begin || third > end) {
    throw unreadable(text.slice(begin, end));
  }
  const words = text.slice(third, end);
  let rest = rests.get(words);
  if (rest === undefined) {
    rest = parseRest(words, text.slice(begin, end));
    if (rests.size >= MOST_RESTS) rests.clear();
    rests.set(words, rest);
  }
  const { root, path, options, spreads, type, data } = rest;
  return {
    id: Number(text.slice(begin, first - 1)),
    parent: Number(text.slice(first, second - 1)),
    device: text.slice(second, third - 1),
    root,
    path,
    options,
    spreads,
    type,
    data,
  };
}

function parseRest(text: string, line: string): Rest {
  const words = text.split(" ");
  const dash = words.indexOf("-", 3);
  const [root, path, options] = words;
  const [type, data] = [words[dash + 1], words[dash + 3]];
  if (dash < 0 || data === undefined) throw unreadable(line);
  return {
    root: unescape(root!),
    path: unescape(path!),
    options: options!.split(","),
    spreads: dash === 3 ? PRIVATE : words.slice(3, dash),
    type: type!,
    data: data.split(","),
  };
}

function unreadable(line: string): Error {
  return new Error(`Cannot read mountinfo: "${line}"`);
}

/** Spaces and the like are written as octal numbers. */
function unescape(word: string): string {
  if (!word.includes("\\")) return word;
  return word.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
}

/** Where the line that begins so is; -1 if there is none. */
function lineAt(text: string, begin: string): number {
  if (text.startsWith(begin)) return 0;
  const before = text.indexOf(`\n${begin}`);
  return before < 0 ? -1 : before + 1;
}

/** The value of a line of status; `undefined` where this kernel has none. */
export function statusLine(status: string, name: string): string | undefined {
  const start = lineAt(status, `${name}:`);
  if (start < 0) return undefined;
  return status.slice(start + name.length + 1, status.indexOf("\n", start)).trim();
}

/** The lines of status by their names. */
export type Status = Pick<ReadonlyMap<string, string>, "get" | "has">;

/** The lines of status, each looked for when it is asked for: there are many more of them. */
export function parseStatus(text: string): Status {
  return {
    get: (name) => statusLine(text, name),
    has: (name) => statusLine(text, name) !== undefined,
  };
}

/** The numbers of a line of status. @throws {Error} if there is no such line. */
export function statusNumbers(status: Status, name: string): number[] {
  const line = status.get(name);
  if (line === undefined) throw new Error(`there is no ${name} in /proc/<pid>/status`);
  return line === "" ? [] : line.split(/\s+/).map(Number);
}

/** A range of ids of uid_map or gid_map (user_namespaces(7)). */
export interface IdRange {
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

let lastMap: { readonly text: string; readonly ranges: readonly IdRange[] } | undefined;

/** The ranges of a uid_map or gid_map, the lowest id inside first. */
export function parseIdMap(text: string): readonly IdRange[] {
  // Both are asked for more than once, and usually alike.
  if (lastMap?.text !== text) lastMap = { text, ranges: idRanges(text) };
  return lastMap.ranges;
}

function idRanges(text: string): IdRange[] {
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
  const sought = `:${controllers}:`;
  for (let line = 0; line < text.length;) {
    const end = text.indexOf("\n", line);
    const colon = text.indexOf(":", line);
    if (text.startsWith(sought, colon)) return text.slice(colon + sought.length, end < 0 ? undefined : end);
    if (end < 0) break;
    line = end + 1;
  }
  throw new Error(`there is no hierarchy "${controllers}" in /proc/<pid>/cgroup`);
}

/** The first column of limits (fs/proc/base.c). */
const TITLE_WIDTH = 26;

/** Soft and hard value of a resource limit, by its title in limits. @throws {Error} if it is not listed. */
export function limitOf(limits: string, title: string): string {
  const line = lineAt(limits, title.padEnd(TITLE_WIDTH));
  if (line < 0) throw new Error(`there is no "${title}" in /proc/<pid>/limits`);
  const end = limits.indexOf("\n", line);
  const [soft, hard] = limits.slice(line + TITLE_WIDTH, end < 0 ? undefined : end).split(" ").filter(Boolean);
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
