import { type Fd, open } from "../../ffi/fd.ts";
import { newTmpfs } from "../../ffi/layers.ts";
import { openBelow } from "../../ffi/tree.ts";
import { makeDirectoryAt, setOwnerAt } from "../../ffi/tree_write.ts";
import { LifecycleError } from "../../runtime/errors.ts";
import type { PlanRequest } from "../../runtime/plan/context.ts";
import { tmpfsData } from "../../runtime/plan/rootfs.ts";
import { unusable } from "../own_file.ts";
import type { Images } from "../open_images.ts";
import { applyLayer } from "./apply.ts";
import { DATA, INDEX, readIndex } from "./entry.ts";
import { hasUserMarks, rulesOf } from "./rules.ts";

export { hasUserMarks };

const O_NOFOLLOW = Deno.build.arch === "x86_64" ? 0o400000 : 0o100000;
const O_PATH_DIRECTORY = 0o10000000 | (Deno.build.arch === "x86_64" ? 0o200000 : 0o40000);

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
  const { ids } = rulesOf(spec);
  // Its root may be who mounts the overlay, and nobody else inside.
  const owner = { uid: ids.outside("uid", 0) ?? 0, gid: ids.outside("gid", 0) ?? 0, mode: 0o755 };
  for (const name of ["upper", "work", "lower0"]) {
    makeDirectoryAt(tmpfs, name);
    setOwnerAt(tmpfs, name, owner);
  }
  setOwnerAt(tmpfs, ".", owner);
  using upper = openBelow(tmpfs, "upper", O_PATH_DIRECTORY);
  using data = open(`${path}/${DATA}`, O_NOFOLLOW);
  const index = `${path}/${INDEX}`;
  const files = { entries: readIndex(path), data, index, into: "the overlay that config.json asks for" };
  const marks = hasUserMarks(spec) ? "user.overlay." : "trusted.overlay.";
  applyLayer(files, upper, { ...rulesOf(spec), marks });
  parts.move();
  return tmpfs;
}
