import { probeHost } from "../runtime/host/probe.ts";
import type { InstalledCriu } from "./installed.ts";
import { manifestAt } from "./open_images.ts";
import { WaitingCriu } from "./waiting.ts";

/**
 * Has CRIU be loaded for a restore that is about to be prepared.
 *
 * @param path Directory of the images, which may turn out to be something else: then it was of no use, and no harm.
 * @param options Whether its memory will be brought in when it is touched, and whether CRIU is to see what the host mounts
 * until it is used.
 * @returns Nothing where CRIU will have to be started when all is prepared.
 */
export function loadForRestore(
  criu: InstalledCriu,
  path: string,
  { isLazy, inHostMounts }: { readonly isLazy: boolean; readonly inHostMounts?: boolean },
): WaitingCriu | undefined {
  const network = manifestAt(path)?.network === "made" ? "new" : undefined;
  const flags = restoreFlags(isLazy);
  return WaitingCriu.start(criu, { arch: probeHost().arch, flags, network, inHostMounts });
}

/** Flags that libcriu has no function for. */
export function restoreFlags(isLazy: boolean): string[] {
  return ["--restore-sibling", ...(isLazy ? ["--lazy-pages"] : [])];
}
