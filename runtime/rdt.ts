import { LifecycleError, UnsupportedError } from "./errors.ts";
import type { IntelRdt } from "./spec/config.ts";

/** What a sandbox has in resctrl (Documentation/arch/x86/resctrl.rst). */
export interface RdtGroup {
  /** Its class of service. */
  readonly directory: string;
  /** Whether the class has to be made. */
  readonly isNew: boolean;
  /** What is written to its `schemata`, one write each. */
  readonly schemata: readonly string[];
  /** The directory that counts what the sandbox uses. */
  readonly monitor?: string;
  /** What is to be removed with the sandbox, in this order. */
  readonly own: readonly string[];
}

/** Where resctrl is mounted, by a mountinfo file (proc_pid_mountinfo(5)). */
export function findResctrl(mountinfo: string): string | undefined {
  for (const line of mountinfo.split("\n")) {
    const [mount = "", type] = line.split(" - ");
    if (type?.startsWith("resctrl ")) return mount.split(" ")[4];
  }
  return undefined;
}

/**
 * What has to be done in resctrl for a sandbox.
 *
 * @param root Where it is mounted.
 * @throws {UnsupportedError} if it is not mounted.
 * @throws {LifecycleError} if a class that was made beforehand is missing, or is another than was asked for.
 */
export function planRdt(root: string | undefined, id: string, rdt: IntelRdt): RdtGroup {
  if (root === undefined) {
    throw new UnsupportedError(
      "/linux/intelRdt",
      "intelRdt is specified in config, but Intel RDT is not supported or enabled",
      "mount resctrl on a machine that has it, or take it out of config.json",
    );
  }
  const { closID, l3CacheSchema, memBwSchema, schemata = [], enableMonitoring } = rdt;
  const first = [l3CacheSchema, memBwSchema].filter((line) => line);
  const writes = [first, schemata].filter(({ length }) => length > 0).map((lines) => `${lines.join("\n")}\n`);
  const directory = closID === "/" ? root : `${root}/${closID ?? id}`;
  const there = isThere(directory);
  if (there && closID !== undefined && writes.length > 0) compare(directory, writes.join(""));
  if (!there && closID !== undefined && writes.length === 0) {
    throw new LifecycleError(`Cannot use class of service "${closID}": there is no directory "${directory}"`);
  }
  const monitor = enableMonitoring ? `${directory}/mon_groups/${id}` : undefined;
  const own = [
    ...(monitor === undefined ? [] : [monitor]),
    ...(there || closID !== undefined ? [] : [directory]),
  ];
  return {
    directory,
    isNew: !there,
    schemata: there && closID !== undefined ? [] : writes,
    ...(monitor !== undefined && { monitor }),
    own,
  };
}

/** Makes the directories and writes what was asked for. @throws {LifecycleError} with what the kernel says of it. */
export function makeRdt(root: string, { directory, isNew, schemata, monitor }: RdtGroup): void {
  tryTo(root, `make class of service "${directory}"`, () => {
    if (isNew) Deno.mkdirSync(directory);
  });
  for (const lines of schemata) {
    tryTo(root, `write ${JSON.stringify(lines)} to "${directory}/schemata"`, () => {
      write(`${directory}/schemata`, lines);
    });
  }
  if (monitor !== undefined) tryTo(root, `make monitoring group "${monitor}"`, () => Deno.mkdirSync(monitor));
}

/** Puts a process, which has not started others yet, into its class and its monitoring group. */
export function joinRdt(root: string, { directory, monitor }: RdtGroup, pid: number): void {
  for (const each of [directory, monitor]) {
    if (each === undefined) continue;
    tryTo(root, `put process ${pid} into "${each}"`, () => write(`${each}/tasks`, `${pid}\n`));
  }
}

/** Removes directories of resctrl, as far as they are there; whoever is in them goes back to the class above. */
export function removeRdt(own: readonly string[]): void {
  for (const directory of own) {
    try {
      Deno.removeSync(directory);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

function tryTo(root: string, does: string, act: () => void): void {
  try {
    act();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LifecycleError(`Cannot ${does}: ${why}; the kernel says: ${lastStatus(root)}`, { cause });
  }
}

function lastStatus(root: string): string {
  try {
    return Deno.readTextFileSync(`${root}/info/last_cmd_status`).trim();
  } catch {
    return "nothing";
  }
}

function write(file: string, text: string): void {
  Deno.writeTextFileSync(file, text, { append: true });
}

function isThere(path: string): boolean {
  try {
    return Deno.lstatSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** A class that others have made must be what is asked for, resource by resource. */
function compare(directory: string, wanted: string): void {
  const is = resources(Deno.readTextFileSync(`${directory}/schemata`));
  for (const [name, value] of resources(wanted)) {
    const found = is.get(name);
    if (found === value) continue;
    throw new LifecycleError(
      `Cannot use class of service "${directory}": its ${name} is ${found ?? "not there"} and not ${value}`,
    );
  }
}

/** `L3:0=7f0;1=1f` → `L3:0` is `7f0`, `L3:1` is `1f`. */
function resources(schemata: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const line of schemata.split("\n")) {
    const [name = "", domains] = line.split(":").map((part) => part.trim());
    for (const domain of domains?.split(";") ?? []) {
      const [id = "", value = ""] = domain.split("=").map((part) => part.trim());
      found.set(`${name}:${id}`, value.toLowerCase().replace(/^0+(?=.)/, ""));
    }
  }
  return found;
}
