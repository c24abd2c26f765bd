import { resolve } from "@std/path";
import { LifecycleError } from "../runtime/errors.ts";
import { DATA, INDEX } from "./layer/entry.ts";
import { BEGUN } from "./light/begun.ts";
import { KeptSeals } from "./kept_seals.ts";
import { missingFeatures } from "./machine.ts";
import { type Manifest, readManifest } from "./manifest.ts";
import { unusable } from "./own_file.ts";
import { checkSeal, checkSmallSeals } from "./seals.ts";

const DESCRIPTORS = "descriptors.json";

/** The images of a checkpoint. */
export interface Images {
  /** Absolute path of their directory. */
  readonly path: string;
  /** What is known of them; nothing if another runtime has written them. */
  readonly manifest: Manifest | undefined;
  /** What stdin, stdout and stderr led to. */
  readonly links: readonly string[];
}

/**
 * Looks at images before anything is done with them.
 *
 * @throws {LifecycleError} if they are not whole, or not for this machine.
 */
export async function openImages(given: string): Promise<Images> {
  const { images, verified } = await openImagesSoon(given);
  await verified;
  return images;
}

/**
 * The same as {@linkcode openImages}, but the pages of memory are compared meanwhile.
 *
 * @returns Before `verified` resolves nobody may use the pages.
 */
export async function openImagesSoon(
  given: string,
): Promise<{ readonly images: Images; readonly verified: Promise<void> }> {
  const path = resolve(given);
  if (!exists(path)) throw new LifecycleError(`Cannot restore from "${path}": there is no such directory`);
  const manifest = readManifest(path);
  if (manifest?.kind === "light") {
    return { images: await openLightImages(path), verified: Promise.resolve() };
  }
  if (manifest) {
    if (manifest.kind === "pre") throw unusable(path, "it holds only memory, as --pre-dump asked for");
    if (manifest.arch !== Deno.build.arch) throw unusable(path, `it is of a machine of ${manifest.arch}`);
    const missing = missingFeatures(manifest.cpu);
    if (missing.length > 0) {
      throw unusable(path, `it is of a processor with ${missing.join(", ")}, which this one lacks`);
    }
    const { verified } = await checkSmallSeals(path, manifest.seals, {
      ...(manifest.pages && { pages: manifest.pages }),
      kept: KeptSeals.of(path),
    });
    return { images: { path, manifest, links: readLinks(path) }, verified };
  }
  if (!exists(`${path}/inventory.img`)) throw unusable(path, "it holds no images of CRIU");
  return { images: { path, manifest, links: readLinks(path) }, verified: Promise.resolve() };
}

/** What a directory of images holds, as far as it says so. */
export function kindOf(given: string): "full" | "light" {
  return manifestAt(given)?.kind === "light" ? "light" : "full";
}

/** What a directory of images says of itself; nothing is verified, and nothing is said of one that cannot be used. */
export function manifestAt(given: string): Manifest | undefined {
  try {
    return readManifest(resolve(given));
  } catch {
    return undefined; // whoever opens it hears why
  }
}

/**
 * Looks only at what a program is begun anew with: the files that the container had written, its environment.
 *
 * @throws {LifecycleError} if they are not whole, or not for this machine.
 */
export async function openLightImages(given: string): Promise<Images> {
  const path = resolve(given);
  if (!exists(path)) throw new LifecycleError(`Cannot restore from "${path}": there is no such directory`);
  const manifest = readManifest(path);
  if (!manifest) {
    throw unusable(path, "another runtime has written it, and nobody knows which files it holds");
  }
  if (manifest.kind === "pre") throw unusable(path, "it holds only memory, as --pre-dump asked for");
  if (manifest.arch !== Deno.build.arch) throw unusable(path, `it is of a machine of ${manifest.arch}`);
  for (const name of [BEGUN, INDEX, DATA]) {
    if (Object.hasOwn(manifest.seals, name)) await checkSeal(`${path}/${name}`, manifest.seals[name]!);
  }
  return { path, manifest, links: [] };
}

function readLinks(path: string): readonly string[] {
  try {
    const links: unknown = JSON.parse(Deno.readTextFileSync(`${path}/${DESCRIPTORS}`));
    return Array.isArray(links) ? links.filter((each) => typeof each === "string") : [];
  } catch {
    return []; // CRIU says what it misses
  }
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path) !== undefined;
  } catch {
    return false;
  }
}

/** Whether the images say nothing of network devices, as runc's never do. */
export function isNetworkMissing(path: string): boolean {
  return !Array.from(Deno.readDirSync(path)).some(({ name }) =>
    name.startsWith("netdev-") || name.startsWith("netns-")
  );
}
