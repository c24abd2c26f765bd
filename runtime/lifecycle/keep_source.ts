import type { Bundle } from "../bundle.ts";
import { toWrite } from "../image_cache.ts";
import type { Made } from "../image_of.ts";
import { probeCaller } from "../host/probe.ts";
import { exactJson } from "../spec/exact_json.ts";
import { type Asked, keyOf, KIND, nameOf } from "./kept_source.ts";

/** What may follow the path of a cgroup in an image. */
const ENDS = ["\0", "/cgroup.procs\0"];
/** Paths of which nothing changes when they are written as JSON. */
const PLAIN = /^[\w/.+:@,=-]+$/;

/**
 * Keeps what a container is made from for others of the same bundle: the next one is made without the planner. Only what
 * is usual is kept, where the id stands nowhere but in the paths of its cgroups. That it cannot be kept is no failure.
 *
 * @returns What keeps it, to be called when the container is made.
 */
export function keepSource(...made: Parameters<typeof keepWhole>): () => void {
  try {
    return keepWhole(...made) ?? (() => {});
  } catch {
    return () => {}; // then the next one is planned as this one was
  }
}

function keepWhole(asked: Asked, { spec }: Bundle, specText: string, made: Made): (() => void) | undefined {
  const { image, group, kinds, warnings } = made;
  if (!group || !isKeepable(asked, spec, made)) return undefined;
  const directories = group.groups.map(({ directory }) => directory);
  const text = exactJson(made.request.spec);
  if (directories.some((each) => !PLAIN.test(each) || text.includes(each))) return undefined; // not ours alone
  const idsAt = placesOf(image.elf, directories, asked.id.length);
  if (!idsAt) return undefined;
  const { root, annotations } = spec;
  const { resources, reachable } = group;
  const container = {
    id: asked.id,
    idsAt,
    specText,
    spec: { root, ...(annotations && { annotations }) },
    resources,
    reachable,
  };
  const key = keyOf(asked, probeCaller(), group.hierarchies);
  return toWrite(nameOf(asked), { key, kinds, image, warnings, container }, KIND);
}

function isKeepable({ id }: Asked, spec: Bundle["spec"], made: Made): boolean {
  const { group, hooked, rdt, listener, cuts, expected, image, request } = made;
  const isPlain = group?.path === id && !group.unit && !spec.linux?.cgroupsPath && request.host.privileged;
  const isAlone = !hooked && !rdt && !listener && !cuts && !expected && !spec.process?.terminal;
  const ownPids = spec.linux?.namespaces?.some(({ type, path }) => type === "pid" && path === undefined);
  return isPlain && isAlone && ownPids === true && image.idsAt.length === 0 && image.idWordsAt.length === 0 &&
    !request.keepKeys && isExact(group.resources);
}

/** Whether a value is the same when it was written as JSON. */
export function isExact(value: unknown): boolean {
  if (typeof value === "bigint") return false;
  return typeof value !== "object" || value === null || Object.values(value).every(isExact);
}

/** Where in an image the names of cgroups stand; nothing if one is a part of something else. */
function placesOf(
  elf: Uint8Array<ArrayBuffer>,
  directories: readonly string[],
  length: number,
): number[] | undefined {
  const text = new TextDecoder("latin1").decode(elf);
  const found: number[] = [];
  for (const directory of directories) {
    for (let at = text.indexOf(directory); at !== -1; at = text.indexOf(directory, at + 1)) {
      const end = at + directory.length;
      if (text[at - 1] !== "\0" || !ENDS.some((each) => text.startsWith(each, end))) return undefined;
      found.push(end - length);
    }
  }
  return found;
}
