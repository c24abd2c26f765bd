import { type Fd, open } from "../../ffi/fd.ts";
import { newTmpfs } from "../../ffi/layers.ts";
import type { Attributes } from "../../runtime/plan/mount_options.ts";
import type { Spec } from "../../runtime/spec/config.ts";
import { applyLayer, type LayerRules } from "../layer/apply.ts";
import { rulesOf } from "../layer/rules.ts";
import type { Images } from "../open_images.ts";
import { unusable } from "../own_file.ts";
import { DATA, INDEX, readMemory } from "./index.ts";
import { memoryOptions } from "./which.ts";

const O_NOFOLLOW = Deno.build.arch === "x86_64" ? 0o400000 : 0o100000;

/** A file system in memory that CRIU is to mount. */
export interface RestoredMemory {
  /** Where, in the container. */
  readonly path: string;
  readonly fd: Fd;
  /** Attributes of the mount that are set and cleared. */
  readonly set: Attributes;
  readonly clear: Attributes;
}

/**
 * New file systems in memory, each as the config of now asks for it and with the files that it had at the checkpoint; they
 * are mounted nowhere yet.
 *
 * @throws {LifecycleError} if the config does not ask for one of them, or its files cannot be used.
 */
export function restoredMemory({ path: images, manifest }: Images, spec: Spec): RestoredMemory[] {
  if (!manifest?.memory) return [];
  for (const name of [INDEX, DATA]) {
    if (!Object.hasOwn(manifest.seals, name)) throw unusable(`${images}/${name}`, "it has no seal");
  }
  const index = `${images}/${INDEX}`;
  using data = open(`${images}/${DATA}`, O_NOFOLLOW);
  const rules = rulesOfMemory(spec);
  using parts = new DisposableStack();
  const kept = readMemory(images);
  const found = kept.map(({ path, entries }) => {
    const options = memoryOptions(path, spec);
    if (!options) throw unusable(images, `it has a mount at "${path}", which config.json does not ask for`);
    const fd = parts.use(newTmpfs(options.source, options.data));
    applyLayer({ entries, data, index, into: `"${path}" as config.json asks for it` }, fd, rules);
    return { path, fd, set: options.set, clear: options.clear };
  });
  parts.move();
  return found;
}

/** In no overlay the number 0:0 hides nothing: it opens nothing, and everybody may make it. */
function rulesOfMemory(spec: Spec): LayerRules {
  const rules = rulesOf(spec);
  return {
    ...rules,
    allowsDevice: (kind, major, minor) => {
      return (kind === "c" && major === 0 && minor === 0) || rules.allowsDevice(kind, major, minor);
    },
  };
}
