import { resolve } from "@std/path";
import { loadBundle } from "../../runtime/bundle.ts";
import { parseMountinfo } from "../../runtime/attest/parse.ts";
import { isId } from "../../runtime/state/container_id.ts";
import { annotatedOverlay } from "../../runtime/overlay_choice.ts";
import { parseSpec } from "../../runtime/spec/validate.ts";
import { exactJson } from "../../runtime/spec/exact_json.ts";
import { Store } from "../../runtime/state/store.ts";
import { sourceOf } from "../external_mounts.ts";
import { findCriu } from "../installed.ts";
import { kernelRelease, missingFeatures } from "../machine.ts";
import type { Manifest } from "../manifest.ts";
import { kindOf } from "../open_images.ts";
import { memoryOptions } from "../memory/which.ts";
import { bundleOf, checkSnapshot } from "./check.ts";
import { type Snapshot, SnapshotStore, type SnapshotStoreOptions } from "./store.ts";
import { lockedWhole } from "./whole.ts";

/** One thing that a restore depends on. */
export interface Condition {
  /** What it is, in a word. */
  readonly what: string;
  /** `differs`: it can be restored all the same. */
  readonly is: "met" | "differs" | "unmet";
  /** What was found. */
  readonly why: string;
}

/** Whether a snapshot can be restored here. */
export interface Explanation {
  /** Which one. */
  readonly snapshot: Snapshot;
  /** Whether nothing is unmet. */
  readonly canBeRestored: boolean;
  /** All that was looked at, in this order. */
  readonly conditions: readonly Condition[];
}

/** Options of {@linkcode explainSnapshot}. */
export interface ExplainOptions extends SnapshotStoreOptions {
  /** Directory of the bundle that it would be restored under. @default the one that it was taken under */
  readonly bundle?: string | undefined;
  /** The container that it would become. @default the one that it was taken of */
  readonly id?: string | undefined;
  /** Directory of all containers. */
  readonly root?: string | undefined;
  /** Path of CRIU. */
  readonly criu?: string | undefined;
}

/** Says whether a snapshot can be restored here and why not, without doing anything. */
export async function explainSnapshot(name: string, options: ExplainOptions = {}): Promise<Explanation> {
  const store = new SnapshotStore(options);
  const snapshot = store.find(name);
  const conditions: Condition[] = [];
  const look = async (what: string, found: () => Promise<Found> | Found): Promise<void> => {
    try {
      const { differs = false, why } = await found();
      conditions.push({ what, is: differs ? "differs" : "met", why });
    } catch (error) {
      conditions.push({ what, is: "unmet", why: error instanceof Error ? error.message : String(error) });
    }
  };
  let manifest: Manifest | undefined;
  await look("files", async () => {
    using whole = await lockedWhole(snapshot, store);
    manifest = await checkSnapshot(snapshot, whole.path);
    return { why: `all ${Object.keys(manifest.seals).length} are as they were written` };
  });
  await look("rights", () => {
    if (Deno.uid() !== 0) throw new Error("it takes root");
    return { why: "root" };
  });
  const isLight = kindOf(snapshot.path) === "light";
  if (!isLight) {
    await look("CRIU", () => {
      const { version, program } = findCriu(options.criu);
      return {
        differs: version !== snapshot.criu,
        why: `${version || program}, written by ${snapshot.criu || "another"}`,
      };
    });
  }
  if (manifest) await lookAtHost(manifest, look);
  await look("id", () => {
    const id = options.id ?? snapshot.container;
    if (!isId(id)) throw new Error(`"${id}" is no name of a container`);
    using entry = new Store(options.root).find(id);
    if (entry?.read()) throw new Error(`there is a container "${id}"; name another, or use snapshot rewind`);
    return { why: `"${id}" is free` };
  });
  if (manifest) await lookAtBundle(snapshot, manifest, options, look);
  return { snapshot, canBeRestored: conditions.every(({ is }) => is !== "unmet"), conditions };
}

interface Found {
  readonly differs?: boolean;
  readonly why: string;
}
type Look = (what: string, found: () => Promise<Found> | Found) => Promise<void>;

async function lookAtHost(manifest: Manifest, look: Look): Promise<void> {
  const isLight = manifest.kind === "light";
  await look("kind", () => {
    if (manifest.kind === "pre") throw new Error("it holds only memory");
    return {
      why: isLight ? "light: files and environment, its program begins anew" : "processes, memory and files",
    };
  });
  await look("architecture", () => {
    if (manifest.arch !== Deno.build.arch) throw new Error(`it is of a machine of ${manifest.arch}`);
    return { why: manifest.arch };
  });
  if (!isLight) {
    await look("processor", () => {
      const missing = missingFeatures(manifest.cpu);
      if (missing.length > 0) throw new Error(`this one lacks ${missing.join(", ")}`);
      return { why: "it has all features of that one" };
    });
  }
  await look("kernel", () => {
    const now = kernelRelease();
    return {
      differs: now !== manifest.kernel,
      why: now === manifest.kernel ? now : `${now}, taken on ${manifest.kernel}`,
    };
  });
}

async function lookAtBundle(
  snapshot: Snapshot,
  manifest: Manifest,
  options: ExplainOptions,
  look: Look,
): Promise<void> {
  let bundle: ReturnType<typeof loadBundle> | undefined;
  await look("bundle", async () => {
    bundle = loadBundle(await bundleOf(snapshot, options.bundle));
    return { why: bundle.path };
  });
  if (!bundle) return;
  const { path, spec } = bundle;
  await look("config.json", () => {
    const then = parseSpec(
      Deno.readTextFileSync(`${snapshot.path}/config.json`),
      `${snapshot.path}/config.json`,
    );
    const same = exactJson(then) === exactJson(spec);
    return {
      differs: !same,
      why: same ? "as it was" : "it has changed: what it asks for now counts, and is compared",
    };
  });
  await look("root", () => {
    const rootfs = resolve(path, spec.root.path);
    if (!Deno.statSync(rootfs).isDirectory) throw new Error(`"${rootfs}" is no directory`);
    const overlay = annotatedOverlay(spec.annotations).kind !== "none";
    if (overlay && !manifest.layer) {
      throw new Error("config.json asks for an overlay, and it has no upper layer");
    }
    if (!overlay && manifest.layer) {
      throw new Error("it has an upper layer, and config.json asks for no overlay");
    }
    return { why: rootfs };
  });
  await look("mounts", () => {
    const host = parseMountinfo(Deno.readTextFileSync("/proc/self/mountinfo"));
    for (const mount of manifest.mounts) {
      const source = sourceOf(mount, { spec, bundle: path, host, groups: [] });
      if (source === undefined) throw new Error(`config.json does not ask for "${mount.path}"`);
      Deno.statSync(source);
    }
    const inMemory = manifest.memory?.mounts ?? [];
    for (const each of inMemory) {
      if (!memoryOptions(each, spec)) throw new Error(`config.json does not ask for "${each}"`);
    }
    return { why: `${manifest.mounts.length + inMemory.length} are there` };
  });
}
