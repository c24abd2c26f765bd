import { type Fd } from "../../ffi/fd.ts";
import { newTmpfs } from "../../ffi/layers.ts";
import { openBelow } from "../../ffi/tree.ts";
import { makeDirectoryAt, setOwnerAt } from "../../ffi/tree_write.ts";
import { LifecycleError } from "../../runtime/errors.ts";
import type { PlanRequest } from "../../runtime/plan/context.ts";
import { tmpfsData } from "../../runtime/plan/rootfs.ts";
import type { Spec } from "../../runtime/spec/config.ts";
import { unusable } from "../own_file.ts";
import type { Images } from "../open_images.ts";
import { applyLayer, type LayerRules } from "./apply.ts";
import { INDEX } from "./entry.ts";
import { idsOf } from "./ids.ts";

const O_PATH_DIRECTORY = 0o10000000 | (Deno.build.arch === "x86_64" ? 0o200000 : 0o40000);
/** null, zero, full, random, urandom, tty and ptmx: they do no more to the host than to the container. */
const HARMLESS = ["c 1:3", "c 1:5", "c 1:7", "c 1:8", "c 1:9", "c 5:0", "c 5:2"];

/** Whether an overlay keeps its marks in user.* attributes, as those of a user namespace do. */
export function hasUserMarks({ linux }: Spec): boolean {
  return linux?.namespaces?.some(({ type }) => type === "user") ?? false;
}

/**
 * A new file system in memory for the overlay of a container that is restored, with `upper` as it was at the checkpoint,
 * `work` and `lower0` in it: it is mounted nowhere yet. As large as config.json allows now, whatever it was then.
 *
 * @returns Nothing if the container has no overlay.
 * @throws {LifecycleError} if the images and config.json do not agree over that, or the layer cannot be used.
 */
export function restoredUpper({ path, manifest }: Images, { root, spec }: Pick<PlanRequest, "root" | "spec">):
  | Fd
  | undefined {
  const kept = manifest?.layer !== undefined;
  if (root.kind !== "overlay") {
    if (!kept) return undefined;
    throw new LifecycleError(
      `Cannot restore from "${path}": it holds what was written over an overlay, and config.json asks for none; ` +
        'add the annotation "dev.ai-sandbox.overlay"',
    );
  }
  if (!kept) throw unusable(path, "it has no upper layer, and config.json asks for an overlay");
  if (!Object.hasOwn(manifest.seals, INDEX)) throw unusable(`${path}/${INDEX}`, "it has no seal");
  using parts = new DisposableStack();
  const tmpfs = parts.use(newTmpfs("ai-sandbox", tmpfsData(root.sizeBytes)));
  for (const name of ["upper", "work", "lower0"]) {
    makeDirectoryAt(tmpfs, name);
    setOwnerAt(tmpfs, name, { uid: 0, gid: 0, mode: 0o755 });
  }
  using upper = openBelow(tmpfs, "upper", O_PATH_DIRECTORY);
  applyLayer(path, upper, rulesOf(spec));
  parts.move();
  return tmpfs;
}

function rulesOf(spec: Spec): LayerRules {
  const mayMake = spec.process?.capabilities?.bounding?.includes("CAP_MKNOD") ?? false;
  const named = spec.linux?.devices?.map(({ type, major = 0, minor = 0 }) => {
    return `${type === "b" ? "b" : "c"} ${major}:${minor}`;
  }) ?? [];
  const own = hasUserMarks(spec);
  return {
    ids: idsOf(spec),
    allowsDevice: (kind, major, minor) => {
      const name = `${kind} ${major}:${minor}`;
      return HARMLESS.includes(name) || named.includes(name) || (mayMake && !own);
    },
    marks: own ? "user.overlay." : "trusted.overlay.",
  };
}
