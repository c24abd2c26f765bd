import { probeHost } from "../runtime/host/probe.ts";
import type { InstalledCriu } from "./installed.ts";
import { manifestAt } from "./open_images.ts";
import { WaitingCriu } from "./waiting.ts";

/**
 * Has CRIU be loaded for a restore that is about to be prepared.
 *
 * @param path Directory of the images, which may turn out to be something else: then it was of no use, and no harm.
 * @returns Nothing where CRIU will have to be started when all is prepared.
 */
export function loadForRestore(
  criu: InstalledCriu,
  path: string,
  { isLazy }: { readonly isLazy: boolean },
): WaitingCriu | undefined {
  const network = manifestAt(path)?.network === "made" ? "new" : undefined;
  return WaitingCriu.start(criu, { arch: probeHost().arch, flags: restoreFlags(isLazy), network });
}

/** Flags that libcriu has no function for. */
export function restoreFlags(isLazy: boolean): string[] {
  return ["--restore-sibling", ...(isLazy ? ["--lazy-pages"] : [])];
}
