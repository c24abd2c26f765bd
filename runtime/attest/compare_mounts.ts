import type { Difference } from "../errors.ts";
import type { ExpectedMount } from "./expectation.ts";
import type { Place } from "../../ffi/look.ts";
import { MountTree } from "./mount_tree.ts";
import type { MountLine } from "./parse.ts";

/** What else has to be known of paths: of the sandbox, and of the host. */
export interface Paths {
  /** What lies at a path of the sandbox; `undefined` if nothing does. */
  lookup(path: string): Place | undefined;
  /** What lies at a path of the host. */
  host(path: string): Place;
  /** The same path without links. */
  realPath(path: string): string;
  /** The mounts of the host. */
  readonly hostMounts: readonly MountLine[];
}

const S_IFCHR = 0o20000;
const S_IFMT = 0o170000;
const NULL_DEVICE = "1:3";

/**
 * How the mounts differ from those asked for. They are taken off in the reverse order of `expected`: each must be on
 * top of its place, and when all are off nothing may be left that nobody asked for.
 */
export function compareMounts(
  expected: readonly ExpectedMount[],
  lines: readonly MountLine[],
  paths: Paths,
): Difference[] {
  const tree = new MountTree(lines);
  const found: Difference[] = [];
  for (let index = expected.length - 1; index >= 0; index--) takeOff(tree, expected[index]!, paths, found);
  return [...found.reverse(), ...tree.left.map(unasked)];
}

/** By hand, without lists that are empty nearly always: this is most of what an attestation computes. */
function takeOff(tree: MountTree, expected: ExpectedMount, paths: Paths, found: Difference[]): void {
  const { path, optional, change, below } = expected;
  const line = tree.at(path) ?? resolved(tree, path, paths, change);
  if (line === undefined || line === "missing") {
    if (!optional || line !== "missing") found.push(difference(expected, "none"));
    return;
  }
  const wrong: string[] = [];
  addDifferences(wrong, expected, line, paths);
  if (!change) {
    for (const one of tree.takeOff(line)) {
      if (!below || !cameAlong(one, { ...expected, line, tree, paths })) found.push(unasked(one));
      else {
        const options: string[] = [];
        addOptionDifferences(options, below, one);
        for (const each of options) wrong.push(`${each} at "${one.path}"`);
      }
    }
  }
  const covered = optional && expected.type === undefined ? tree.covering(line.path) : undefined;
  if (covered && covered.device !== line.device) {
    wrong.push(`a copy of something else than ${describe(covered)}`);
  }
  if (wrong.length > 0) found.push(difference(expected, wrong.join(" and ")));
}

function difference(expected: ExpectedMount, is: string): Difference {
  const what = `${expected.type === "mask" ? "mask" : "mount"} "${expected.path}"`;
  return { what, asked: asked(expected), is };
}

function unasked(line: MountLine): Difference {
  return { what: `mount "${line.path}"`, asked: "none", is: describe(line) };
}

interface Along {
  readonly source?: string;
  readonly line: MountLine;
  readonly tree: MountTree;
  readonly paths: Paths;
}

/** Whether a mount is there because it was at the same place below the source of `line`, or of what `line` covers. */
function cameAlong(one: MountLine, { source, line, tree, paths }: Along): boolean {
  const rest = one.path.slice(line.path === "/" ? 0 : line.path.length);
  const original = source === undefined ? tree.at(one.path) : hostMountAt(paths, source, rest);
  return original !== undefined && original.device === one.device && original.root === one.root;
}

function hostMountAt(paths: Paths, source: string, rest: string): MountLine | undefined {
  const real = paths.realPath(source);
  return new MountTree(paths.hostMounts).at((real === "/" ? "" : real) + rest);
}

/** A link of the rootfs may lead elsewhere in it, as it did for init: the kernel says where. */
function resolved(
  tree: MountTree,
  path: string,
  paths: Paths,
  change: true | undefined,
): MountLine | "missing" | undefined {
  const found = paths.lookup(path);
  if (found === undefined) return "missing";
  const line = tree.get(found.mount);
  // The mount must begin there, be on top, and not be what is there anyway.
  return line && found.isMountRoot && tree.at(line.path) === line && (line.path !== "/" || change)
    ? line
    : undefined;
}

function addDifferences(wrong: string[], expected: ExpectedMount, line: MountLine, paths: Paths): void {
  const { path, type, data, source } = expected;
  if (type === "mask") {
    if (!isMask(line, path, paths)) wrong.push(describe(line));
  } else if (type !== undefined && line.type !== type && !line.type.startsWith(`${type}.`)) {
    wrong.push(line.type);
  } else if (data) {
    for (const one of data) if (!line.data.includes(one)) wrong.push(`without ${one}`);
  }
  addOptionDifferences(wrong, expected, line);
  addPropagationDifferences(wrong, expected, line);
  if (source === undefined) return;
  const [there, here] = [paths.lookup(path), paths.host(source)];
  // What a later mount covers cannot be looked at.
  if (there?.mount !== line.id) return;
  if (there.inode !== here.inode || there.device !== here.device) {
    wrong.push(`inode ${there.inode} of ${there.device} instead of ${here.inode} of ${here.device}`);
  }
}

/** An empty directory that nobody can write to, or the null device. */
function isMask(line: MountLine, path: string, paths: Paths): boolean {
  if (line.type === "tmpfs" && line.root === "/") {
    return line.options.includes("ro") && line.data.includes("mode=555") && line.data.includes("size=4k");
  }
  const found = paths.lookup(path);
  if (found?.mount !== line.id) return line.root === "/null";
  return (found.mode & S_IFMT) === S_IFCHR && found.node === NULL_DEVICE;
}

function addOptionDifferences(
  wrong: string[],
  { set, clear }: Pick<ExpectedMount, "set" | "clear">,
  { options }: MountLine,
): void {
  for (const word of set) if (!options.includes(word)) wrong.push(`without ${word}`);
  for (const word of clear) if (options.includes(word)) wrong.push(`with ${word}`);
}

function addPropagationDifferences(
  wrong: string[],
  { propagation }: ExpectedMount,
  { spreads }: MountLine,
): void {
  switch (propagation) {
    case "any":
      return;
    case "shared":
      if (!has(spreads, "shared:")) wrong.push("not shared");
      return;
    case "unbindable":
      if (!has(spreads, "unbindable")) wrong.push("not unbindable");
      return;
    case "private":
      if (has(spreads, "master:")) wrong.push("slave");
      break;
    case "slave":
      break;
  }
  if (has(spreads, "shared:")) wrong.push("shared");
}

function has(spreads: readonly string[], start: string): boolean {
  return spreads.some((each) => each.startsWith(start));
}

function asked({ type, set, clear, source, data = [], propagation }: ExpectedMount): string {
  const what = type ?? (source === undefined ? "one" : `"${source}"`);
  const words = [...set, ...clear.map((each) => `not ${each}`), ...data];
  return [what, ...words, ...(propagation === "any" ? [] : [propagation])].join(" ");
}

function describe({ type, root, options }: MountLine): string {
  return [type, ...(root === "/" ? [] : [`"${root}"`]), ...options].join(" ");
}
