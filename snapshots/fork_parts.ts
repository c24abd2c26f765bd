import { resolve } from "@std/path";
import { openInside, openPath, placeOf } from "../ffi/look.ts";
import type { Bundle } from "../runtime/bundle.ts";
import type { Entry } from "../runtime/state/store.ts";
import { hasOwnName, MACHINE_ID, mountsMachineId, showsMachineId } from "./fork_bundle.ts";
import { addFileMount, namespaceImages, renameHost } from "./fork_images.ts";
import type { ImageChanges } from "./live_images.ts";
import type { Images } from "./open_images.ts";

/** The name of a machine-id in the directory of its container. */
const NAME = "machine-id";
const IDS = "ids-1.img";
const [S_IFMT, S_IFREG] = [0o170000, 0o100000];

/** How a container comes by its machine-id: by a mount, or by its root file system; nothing if it has none. */
export function machineIdOf({ path, spec }: Bundle): "mount" | "root" | undefined {
  if (mountsMachineId(spec)) return "mount";
  if (!showsMachineId(spec)) return undefined;
  using root = openPath(resolve(path, spec.root.path));
  using found = openInside(root, MACHINE_ID);
  return found && (placeOf(found).mode & S_IFMT) === S_IFREG ? "root" : undefined;
}

/** Writes a machine-id for a fork into its directory; the path of the file. */
export function writeMachineId(entry: Entry): string {
  const file = resolve(entry.path, NAME);
  Deno.writeTextFileSync(file, `${crypto.randomUUID().replaceAll("-", "")}\n`, { mode: 0o444 });
  return file;
}

/** Images as those of forks over whose root a machine-id of their own lies. */
export function withMachineId(images: Images): Images {
  const { manifest } = images;
  if (!manifest) return images;
  return {
    ...images,
    manifest: { ...manifest, mounts: [...manifest.mounts, { path: MACHINE_ID, type: "bind" }] },
  };
}

/** The images that differ between forks of one state. */
export function changesOf({ path }: Images, { spec }: Bundle, addsMachineId: boolean): ImageChanges {
  const read = (name: string): Uint8Array<ArrayBuffer> => Deno.readFileSync(`${path}/${name}`);
  const { uts, mounts } = namespaceImages(read(IDS));
  const changes = new Map<string, Uint8Array<ArrayBuffer>>();
  if (hasOwnName(spec)) changes.set(uts, renameHost(read(uts), spec.hostname!));
  if (addsMachineId) changes.set(mounts, addFileMount(read(mounts), MACHINE_ID));
  return changes;
}
