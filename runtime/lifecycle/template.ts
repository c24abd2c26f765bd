/** What containers are made from that an engine makes alike: each has a bundle of its own, with other names in it. */

import { withBases } from "../cgroup/base.ts";
import { CgroupGroup } from "../cgroup/group.ts";
import { filled } from "../from_rootfs.ts";
import { cgroups, probeCaller } from "../host/probe.ts";
import { readCached } from "../image_cache.ts";
import type { Hooked } from "../image_of.ts";
import type { KeyedImage } from "../images.ts";
import { fileOf } from "../kept_files.ts";
import type { StepWords } from "../launch/image.ts";
import type { GroupRequest } from "../limits.ts";
import { led } from "../mount_places.ts";
import { stillThere } from "../seen.ts";
import type { Spec } from "../spec/config.ts";
import type { Asked, KeptContainer } from "./kept_source.ts";
import { putValues, renamed, type Shape, shapeOf } from "./shape.ts";
import type { Source } from "./source.ts";

/** Below the directory of images. */
export const KIND = "templates";

/** What is kept of a container for others that differ from it in the values of its shape alone. */
export interface Template {
  readonly values: Shape["values"];
  /** Where in the image they stand. */
  readonly places: readonly (readonly [number, number])[];
  /** The numbers of the values in which another container differed that was planned by itself and came out like this one. */
  readonly proven?: readonly number[] | undefined;
  /** {@linkcode TemplateRest} as JSON. */
  readonly rest: string;
}

/** What else a container is made from. */
export interface TemplateRest extends Pick<KeptContainer, "specText" | "spec" | "resources" | "reachable"> {
  /** Absolute path of the bundle. */
  readonly directory: string;
  readonly rootfs: string;
  /** What the root file system decides over, as {@linkcode readRootfs} says. */
  readonly fromRootfs: string;
  /** Path of the cgroup. */
  readonly path: string;
  readonly hooked?: Hooked | undefined;
}

/** The shape of what is asked for, and the name under which something is kept of it: a hash, as config.json is long. */
export interface NamedShape extends Shape {
  readonly name: string;
}

const shapes = new WeakMap<Asked, NamedShape | undefined>();

/** The shape of what is asked for, if an engine asks; it is found once. */
export function shapeOfAsked(asked: Asked): NamedShape | undefined {
  if (shapes.has(asked)) return shapes.get(asked);
  const { id, directory, attached, config } = asked;
  const found = shapeOf(id, `${attached} ${directory}\n${config}`);
  const named = found && { ...found, name: fileOf(found.text) };
  shapes.set(asked, named);
  return named;
}

/** Whatever decides over the content of the image, but for the values, the root file system, and what lies at its paths. */
export function templateKey(shape: Shape, caller: object, hierarchies: GroupRequest["hierarchies"]): string {
  return `${JSON.stringify([caller, hierarchies])}\n${shape.text}`;
}

/** What a plan takes from the root file system, which each container has of its own. */
export function readRootfs(spec: Spec, rootfs: string): string {
  const mounts = spec.mounts && led(spec.mounts, rootfs).mounts;
  const whole = filled({ ...spec, ...(mounts && { mounts }) }, { kind: "directory", path: rootfs }, true);
  return JSON.stringify([whole.spec.process?.env, whole.spec.mounts]);
}

/** What a container is made from, if others were that differ from it only in names; nothing if anything is not as it was. */
export function findTemplate(asked: Asked): Source | undefined {
  try {
    return fromTemplate(asked);
  } catch {
    return undefined; // then it is planned, which says what is wrong
  }
}

function fromTemplate(asked: Asked): Source | undefined {
  const shape = shapeOfAsked(asked);
  const known = shape && readCached(shape.name, KIND);
  const template = known?.template;
  if (!shape || !known || !template?.proven) return undefined;
  const caller = probeCaller();
  const read = (file: string): string => Deno.readTextFileSync(`/proc/self/${file}`);
  const hierarchies = withBases(cgroups(read("mountinfo"), read("cgroup")), caller.privileged);
  if (known.key !== templateKey(shape, caller, hierarchies)) return undefined;
  const { values, proven } = template;
  if (values.some((value, index) => value !== shape.values[index] && !proven.includes(index))) {
    return undefined;
  }
  const rename = (text: string): string => renamed(text, values, shape.values);
  const rest: TemplateRest = JSON.parse(rename(template.rest));
  if (!stillThere(JSON.parse(rename(JSON.stringify(known.kinds))))) return undefined;
  if (rest.fromRootfs !== readRootfs(JSON.parse(rest.specText), rest.rootfs)) return undefined;
  return sourceFrom(known, template, { rest, rename, hierarchies, to: shape.values });
}

function sourceFrom(
  { image, warnings }: KeyedImage,
  { places }: Template,
  { rest, rename, hierarchies, to }: Pick<GroupRequest, "hierarchies"> & {
    readonly rest: TemplateRest;
    readonly rename: (text: string) => string;
    readonly to: Shape["values"];
  },
): Source {
  const { directory, spec, specText, path, resources, reachable, hooked } = rest;
  const complete = true;
  const groups = CgroupGroup.directoriesFor(path, resources, hierarchies, { complete });
  putValues(image.elf, places, to);
  const named = {
    elf: image.elf,
    idsAt: [],
    idWordsAt: [],
    get steps(): readonly StepWords[] {
      return image.steps.map(({ call, does }) => ({ call, does: rename(does) }));
    },
  };
  return {
    bundle: { path: directory, spec },
    made: {
      image: named,
      group: { path, resources, hierarchies, reachable, complete, groups },
      ...(hooked && { hooked }),
    },
    specText,
    keepsKeys: false,
    warnings,
  };
}
