import { stampAt } from "../../ffi/look.ts";
import { getMark } from "../../ffi/mark.ts";
import { rightsNow } from "../caller_rights.ts";
import { withBases } from "../cgroup/base.ts";
import { keptWrites } from "../cgroup/kept_writes.ts";
import { NAMESPACE_FILES } from "../exec/namespaces.ts";
import { cgroups, probeCaller } from "../host/probe.ts";
import { keepFile, readKeptFile } from "../kept_files.ts";
import { assembleTable } from "../launch/image.ts";
import type { Arch } from "../plan/abi.ts";
import { planRecreate, type RecreateRequest } from "../plan/recreate.ts";
import type { GroupSteps } from "../plan/recreate_groups.ts";
import { lookOf, rerunFile } from "../rerun.ts";
import { settledStamp } from "../stamps.ts";
import type { Record } from "../state/record.ts";
import { type Entry, FILES, NAMES } from "../state/store.ts";
import { FORWARDED, signalNumber } from "../supervise/signals.ts";
import type { KeyedImage } from "../images.ts";
import type { Asked, KeptContainer } from "./kept_source.ts";
import { holedMoves, holedRecord } from "./recreate_texts.ts";
import { EXECUTE_MS } from "./start.ts";

const KIND = "recreates";
const DAY_MS = 86_400_000;

/** The name of the file with the steps of creating one more container of a bundle, whose id is as long. */
export function recreateFile(inode: bigint, idLength: number, attached = false): string {
  return `${rerunFile(inode)}${attached ? 1 : 0}${idLength.toString(16).padStart(2, "0")}`;
}

/** What is kept of a bundle's containers. */
export interface KeptSource extends Pick<KeyedImage, "image" | "kinds" | "warnings"> {
  readonly container: Pick<KeptContainer, "specText" | "resources" | "idsAt">;
}

/**
 * Keeps the steps of creating one more container of a bundle, which `bin/runtime` goes through without starting Deno
 * (`planRecreate`). That they cannot be kept is no failure.
 *
 * @param entry That of a container that was made in the same way, and its record.
 */
export function keepRecreate(
  asked: Asked,
  kept: KeptSource,
  entry: Entry,
  record: Omit<Record, "version">,
): void {
  try {
    const base = requestOf(asked, kept, entry, record);
    if (!base) return;
    const basis = JSON.stringify(base, (_, value) => typeof value === "bigint" ? `${value}` : value);
    const name = recreateFile(base.directory.inode, asked.id.length, asked.attached);
    if (isKept(name, basis)) return;
    const { image: { elf }, container: { idsAt } } = kept;
    const texts = { ...holedRecord(record), moves: holedMoves(record) };
    keepFile(KIND, name, () => assembleTable(planRecreate({ ...base, ...texts, elf, idsAt, basis })));
  } catch {
    // What has changed, or cannot be looked at, is left to Deno.
  }
}

/** Whether that is kept which depends on the same: it was not gone by for another reason. */
function isKept(name: string, basis: string): boolean {
  const file = readKeptFile(KIND, name);
  return file !== undefined && new TextDecoder().decode(file).includes(basis);
}

type Base = Omit<RecreateRequest, "intended" | "record" | "moves" | "elf" | "idsAt" | "basis">;

function requestOf(
  { id, directory, config: text, attached }: Asked,
  { kinds, warnings = [], container: { specText, resources } }: KeptSource,
  entry: Entry,
  record: Omit<Record, "version">,
): Base | undefined {
  const config = settledStamp(`${directory}/config.json`);
  if (Deno.readTextFileSync(`${directory}/config.json`) !== text) return undefined; // another one by now
  const groups = groupsOf(id, resources, entry, record);
  if (!record.init || record.parents.length > 0 || !groups) return undefined;
  if (!probeCaller().privileged) return undefined;
  const { inode, device } = stampAt(directory);
  return {
    arch: Deno.build.arch as Arch,
    attached,
    idLength: id.length,
    bundle: directory,
    directory: { inode, device },
    config,
    specText,
    warnings,
    executable: stampAt("/proc/self/exe"),
    kinds: Object.fromEntries(Object.entries(kinds).map(([path, kind]) => [path, lookOf(path, kind)])),
    caller: {
      ...rightsNow(Object.values(NAMESPACE_FILES)),
      groups: Deno.readTextFileSync("/proc/self/cgroup"),
    },
    bootId: record.init.bootId,
    device: {
      word: stampAt(entry.path).device,
      text: entry.identity.slice(0, entry.identity.lastIndexOf(":")),
    },
    daySeconds: Math.floor(Date.now() / DAY_MS) * DAY_MS / 1000,
    groups,
    names: NAMES,
    files: FILES,
    executeMs: EXECUTE_MS,
    signals: FORWARDED.map(signalNumber),
  };
}

function placeAt(path: string): GroupSteps["place"] {
  const { inode, device } = stampAt(path);
  return { inode, device };
}

/** What is done to make its cgroups; nothing if that is not all known. */
function groupsOf(
  id: string,
  resources: KeptContainer["resources"],
  entry: Entry,
  record: Pick<Record, "groups">,
): GroupSteps[] | undefined {
  const read = (file: string): string => Deno.readTextFileSync(`/proc/self/${file}`);
  const kept = keptWrites(resources, withBases(cgroups(read("mountinfo"), read("cgroup")), true), id);
  if (!kept || kept.length !== record.groups.length) return undefined;
  const { identity } = entry;
  const steps: GroupSteps[] = [];
  for (const [index, { hierarchy, passedOn, writes }] of kept.entries()) {
    const base = `${hierarchy.mountPoint}${hierarchy.own === "/" ? "" : hierarchy.own}`;
    const { directory } = record.groups[index]!;
    if (directory !== `${base}/${id}` || getMark(directory, "ai-sandbox.container") !== identity) {
      return undefined;
    }
    const inherits = hierarchy.version === 1 && hierarchy.controllers.split(",").includes("cpuset");
    steps.push({ base, place: placeAt(base), inherits, writes, ...(passedOn !== undefined && { passedOn }) });
  }
  return steps;
}
