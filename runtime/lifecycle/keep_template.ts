import type { Bundle } from "../bundle.ts";
import { probeCaller } from "../host/probe.ts";
import { readCached, writeCached } from "../image_cache.ts";
import type { Made } from "../image_of.ts";
import { keepFile, readKeptFile } from "../kept_files.ts";
import type { KeyedImage } from "../images.ts";
import { exactJson } from "../spec/exact_json.ts";
import { isExact } from "./keep_source.ts";
import type { Asked } from "./kept_source.ts";
import { placesOf, putValues, renamed, type Shape } from "./shape.ts";
import {
  KIND,
  type NamedShape,
  readRootfs,
  shapeOfAsked,
  type Template,
  templateKey,
  type TemplateRest,
} from "./template.ts";

/** Which shapes were seen once: hashes in so many files, a line each, the latest first. */
const [SEEN, FILES, MOST_LINES] = ["shapes", 64, 16];

/** What was kept of a container of the same shape. */
type Kept = KeyedImage & { readonly template: Template };

/**
 * Keeps what a container of an engine's was made from for others that are made alike. The first one is only noted, the
 * second one kept; only when the third, planned by itself as well, comes out as the second with its names replaced,
 * others are made without the planner. That it cannot be kept is no failure.
 */
export function keepTemplate(...made: Parameters<typeof keepWhole>): void {
  try {
    keepWhole(...made);
  } catch {
    // Then the next one is planned as this one was.
  }
}

function keepWhole(asked: Asked, bundle: Bundle, specText: string, made: Made): void {
  const { group } = made;
  if (!group || !isKeepable(bundle.spec, made)) return;
  const shape = shapeOfAsked(asked);
  if (!shape) return;
  const key = templateKey(shape, probeCaller(), group.hierarchies);
  const known = readCached(shape.name, KIND);
  const isKnown = known?.template !== undefined && known.key === key;
  if (!isKnown && !wasSeen(shape)) return;
  const own = keptOf(key, shape, { bundle, specText, made });
  if (!own) return;
  const other = isKnown ? known as Kept : undefined;
  const isAlike = other !== undefined && isSame(other, own);
  writeCached(shape.name, isAlike ? proven(other, shape) : own, KIND);
}

function isKeepable(spec: Bundle["spec"], made: Made): boolean {
  const { group, hooked, rdt, listener, cuts, expected, image, request } = made;
  const { root, host, keepKeys } = request;
  const isNamed = spec.linux?.cgroupsPath !== undefined && !group!.unit && host.privileged;
  const isAlone = !rdt && !listener && !cuts && !expected && !hooked?.netDevices && !spec.process?.terminal;
  const ownPids = spec.linux?.namespaces?.some(({ type, path }) => type === "pid" && path === undefined);
  return isNamed && isAlone && ownPids === true && root.kind === "directory" && !keepKeys &&
    image.idsAt.length === 0 && image.idWordsAt.length === 0 && isExact(group!.resources) &&
    isExact(hooked);
}

/** Whether one of this shape was made before; it is noted. */
function wasSeen({ name: hash }: NamedShape): boolean {
  const file = `${parseInt(hash, 16) % FILES}`;
  const before = new TextDecoder().decode(readKeptFile(SEEN, file)).split("\n");
  if (before.includes(hash)) return true;
  const lines = [hash, ...before].slice(0, MOST_LINES);
  keepFile(SEEN, file, () => new TextEncoder().encode(lines.join("\n")));
  return false;
}

/** All that is kept; nothing if the plan has taken more from the root file system than is looked at for others. */
function keptOf(
  key: string,
  { values }: Shape,
  { bundle: { path: directory, spec }, specText, made }: {
    readonly bundle: Bundle;
    readonly specText: string;
    readonly made: Made;
  },
): Kept | undefined {
  const { image, request, hooked, warnings } = made;
  const { path, resources, reachable } = made.group!;
  if (request.root.kind !== "directory") return undefined;
  const rootfs = request.root.path;
  const fromRootfs = readRootfs(JSON.parse(specText), rootfs);
  if (fromRootfs !== exactJson([request.spec.process?.env, request.spec.mounts])) return undefined;
  const places = placesOf(image.elf, values);
  if (!places) return undefined;
  const { root, annotations } = spec;
  const rest: TemplateRest = {
    directory,
    rootfs,
    fromRootfs,
    specText,
    spec: { root, ...(annotations && { annotations }) },
    path,
    resources,
    reachable,
    ...(hooked && { hooked }),
  };
  // How files of the root file system looked is another matter: they are read again.
  const kinds = Object.fromEntries(Object.entries(made.kinds).filter(([, kind]) => !kind.startsWith("as ")));
  return { key, kinds, image, warnings, template: { values, places, rest: JSON.stringify(rest) } };
}

/** Whether a container comes out as another one with its names replaced. */
function isSame({ image, kinds, template: { values, places, rest } }: Kept, own: Kept): boolean {
  const to = own.template.values;
  const rename = (text: string): string => renamed(text, values, to);
  if (rename(rest) !== own.template.rest) return false;
  if (rename(JSON.stringify(kinds)) !== JSON.stringify(own.kinds)) return false;
  if (JSON.stringify(places) !== JSON.stringify(own.template.places)) return false;
  const elf = image.elf.slice();
  putValues(elf, places, to);
  return elf.length === own.image.elf.length && elf.every((byte, index) => byte === own.image.elf[index]);
}

/** The same with the values in which another container differs. */
function proven(known: Kept, { values }: Shape): Kept {
  const { template } = known;
  const differ = values.flatMap((value, index) => value === template.values[index] ? [] : [index]);
  const all = [...new Set([...template.proven ?? [], ...differ])];
  return { ...known, template: { ...template, proven: all } };
}
