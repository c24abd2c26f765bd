import { LifecycleError, UsageError } from "../../runtime/errors.ts";
import { probeHost } from "../../runtime/host/probe.ts";
import { lockContainer, specOf } from "../../runtime/lifecycle/container.ts";
import { deleteLocked } from "../../runtime/lifecycle/delete.ts";
import { statusOf } from "../../runtime/lifecycle/status.ts";
import { annotatedOverlay } from "../../runtime/overlay_choice.ts";
import { hold } from "../../runtime/state/liveness.ts";
import { CONFIG, type FinishedCheckpoint } from "../checkpoint_options.ts";
import { earlierImages } from "../earlier_images.ts";
import { Stage } from "../images.ts";
import { LayerKeeper } from "../layer/keeper.ts";
import { cpuFeatures, kernelRelease } from "../machine.ts";
import { encodeManifest, MANIFEST, type Manifest } from "../manifest.ts";
import { begunOf, writeBegun } from "./begun.ts";
import { held } from "./held.ts";

/**
 * Writes a light checkpoint: what the container has written over its rootfs, and how its program was begun. No CRIU has a
 * part in that.
 *
 * @throws as `writeCheckpoint` does.
 */
export async function writeLight(id: string, options: FinishedCheckpoint): Promise<void> {
  refuse(options);
  using container = await lockContainer(id, options);
  const { record, entry } = container;
  const status = statusOf(container, true);
  if (status === "created" || status === "stopped") {
    throw new LifecycleError(`Container cannot be checkpointed in ${status} state`);
  }
  const spec = await specOf(container);
  const { pid } = record.init!;
  using process = hold(record.init!);
  if (!process) throw new LifecycleError("Container cannot be checkpointed in stopped state");
  const { arch } = probeHost();
  const { sealAllNow } = await import("../seal_now.ts");
  using stage = new Stage(options.imagePath ?? "checkpoint");
  const hasLayer = annotatedOverlay(record.annotations).kind !== "none";
  using layer = hasLayer ? new LayerKeeper({ pid, arch, rootfs: record.rootfs, spec }) : undefined;
  using _held = status === "paused" ? undefined : await held(container, arch);
  layer?.capture(stage.path);
  writeBegun(stage.path, begunOf(pid, spec));
  Deno.writeTextFileSync(`${stage.path}/${CONFIG}`, entry.readSpec());
  const captured = layer?.finish(stage.path);
  const manifest: Omit<Manifest, "version"> = {
    id,
    created: new Date().toISOString(),
    kernel: kernelRelease(),
    arch: Deno.build.arch,
    cpu: cpuFeatures(),
    kind: "light",
    bundle: record.bundle,
    mounts: [],
    files: [],
    network: "empty",
    ...(record.network && { isConnected: true }),
    ...(captured && { layer: captured }),
    seals: sealAllNow(stage.path),
  };
  Deno.writeTextFileSync(`${stage.path}/${MANIFEST}`, encodeManifest(manifest));
  options.finish?.(stage.path, manifest);
  stage.commit(MANIFEST, earlierImages);
  if (!options.leaveRunning) await deleteLocked(container, options);
}

/** What is about memory, of which there is none. */
function refuse({ preDump, parentPath, pageServer, lazyPages, statusFd }: FinishedCheckpoint): void {
  const asked = {
    "--pre-dump": preDump,
    "--parent-path": parentPath !== undefined,
    "--page-server": pageServer !== undefined,
    "--lazy-pages": lazyPages,
    "--status-fd": statusFd !== undefined,
  };
  const [name] = Object.entries(asked).find(([, given]) => given) ?? [];
  if (name !== undefined) {
    throw new UsageError(`Cannot use ${name} with --light: a light checkpoint holds no memory`);
  }
}
