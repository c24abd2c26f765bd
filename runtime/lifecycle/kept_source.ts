/** What a container is made from, kept for others of the same bundle: only their ids differ. */

import { resolve } from "@std/path";
import { withBases } from "../cgroup/base.ts";
import { CgroupGroup } from "../cgroup/group.ts";
import { readConfig } from "../config_file.ts";
import { cgroups, probeCaller } from "../host/probe.ts";
import { readCached } from "../image_cache.ts";
import type { KeyedImage } from "../images.ts";
import type { Image, StepWords } from "../launch/image.ts";
import type { GroupRequest } from "../limits.ts";
import { stillThere } from "../seen.ts";
import type { Resources, Spec } from "../spec/config.ts";
import type { ChildOptions, CreateOptions } from "./create.ts";
import type { Source } from "./source.ts";

/** Below the directory of images. */
export const KIND = "creates";

/** What container is asked for, as far as it decides over what it is made from. */
export interface Asked {
  readonly id: string;
  /** Absolute path of the bundle. */
  readonly directory: string;
  readonly attached: boolean;
  /** The text of its config.json. */
  readonly config: string;
}

/** What is kept of a container beside its image. */
export interface KeptContainer {
  /** Its id: the image has the paths of its cgroups. */
  readonly id: string;
  /** Where in the image it stands. */
  readonly idsAt: readonly number[];
  /** The config.json that it was made from, as it is kept beside its record. */
  readonly specText: string;
  readonly spec: Pick<Spec, "root" | "annotations">;
  readonly resources: Resources;
  readonly reachable: boolean;
}

/** Whether what a container is made from depends on nothing but its id and its bundle. */
export function isUsual(options: CreateOptions, given: Omit<ChildOptions, "attached" | "stdio">): boolean {
  const { env = [], preserveFds = [], pivot = true, newKeyring = true, cgroupManager = "cgroupfs" } = options;
  return !given.bundle && !given.upper && !options.notify && !options.network && !options.onStep &&
    options.consoleSocket === undefined && env.length === 0 && preserveFds.length === 0 && pivot &&
    newKeyring && cgroupManager === "cgroupfs";
}

/**
 * Reads what is asked for.
 *
 * @throws {SpecError} if there is no config.json.
 */
export function readAsked(id: string, bundle: string, attached: boolean): Asked {
  const directory = resolve(bundle);
  return { id, directory, attached, config: readConfig(directory) };
}

/** The name under which it is kept: one for all ids of the same length, which take the same room in the image. */
export function nameOf({ id, directory, attached }: Asked): string {
  return JSON.stringify([directory, id.length, attached]);
}

/** Whatever decides over the content of the image, but for the id, and for what lies at its paths. */
export function keyOf(asked: Asked, caller: object, hierarchies: GroupRequest["hierarchies"]): string {
  return `${nameOf(asked)}\n${JSON.stringify([caller, hierarchies])}\n${asked.config}`;
}

/** What a container is made from, if another one of the same bundle was made from it. */
export function findKept(asked: Asked): Source | undefined {
  const known = readCached(nameOf(asked), KIND);
  if (!known?.container) return undefined;
  const caller = probeCaller();
  const read = (file: string): string => Deno.readTextFileSync(`/proc/self/${file}`);
  const hierarchies = withBases(cgroups(read("mountinfo"), read("cgroup")), caller.privileged);
  if (known.key !== keyOf(asked, caller, hierarchies) || !stillThere(known.kinds)) return undefined;
  const container = known.container;
  const keep: Source["keep"] = () => {
    const loading = import("./keep_recreate.ts");
    return async (...made) => (await loading).keepRecreate(asked, { ...known, container }, ...made);
  };
  return {
    ...sourceFrom(known, container, { ...asked, hierarchies }),
    ...(canRecreate(asked) && { keep }),
  };
}

/** Whether the executable could make the next one itself: `tools/build/stub_x86_64.S`. */
function canRecreate({ id }: Asked): boolean {
  return Deno.build.arch === "x86_64" && id.length <= 255;
}

function sourceFrom(
  { image, warnings }: KeyedImage,
  { id: other, idsAt, specText, spec, resources, reachable }: KeptContainer,
  { id, directory, hierarchies }: Asked & Pick<GroupRequest, "hierarchies">,
): Source {
  const complete = true;
  const groups = CgroupGroup.directoriesFor(id, resources, hierarchies, { complete });
  const group = { path: id, resources, hierarchies, reachable, complete, groups };
  return {
    bundle: { path: directory, spec },
    made: { image: renamed(image, { id, other, idsAt, groups }), group },
    specText,
    keepsKeys: false,
    warnings,
  };
}

/** The same image for another id of the same length. */
function renamed(
  image: Image,
  { id, other, idsAt, groups }: Pick<KeptContainer, "id" | "idsAt"> & Pick<GroupRequest, "groups"> & {
    readonly other: string;
  },
): Image {
  const bytes = new TextEncoder().encode(id);
  for (const at of idsAt) image.elf.set(bytes, at);
  const words = (text: string): string =>
    groups.reduce((renamed, { directory }) => {
      return renamed.replaceAll(`"${directory.slice(0, -id.length)}${other}"`, `"${directory}"`);
    }, text);
  return {
    elf: image.elf,
    idsAt: [],
    idWordsAt: [],
    get steps(): readonly StepWords[] {
      return image.steps.map(({ call, does }) => ({ call, does: words(does) }));
    },
  };
}
