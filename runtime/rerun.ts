import { stampAt } from "../ffi/look.ts";
import { rightsNow } from "./caller_rights.ts";
import { readConfig } from "./config_file.ts";
import type { KeyedImage } from "./images.ts";
import { keepFile } from "./kept_files.ts";
import { assembleTable } from "./launch/image.ts";
import type { Arch } from "./plan/abi.ts";
import { planRerun, type RerunRequest } from "./plan/rerun.ts";
import { lookAt, NOTHING } from "./seen.ts";
import { settledStamp } from "./stamps.ts";
import { FORWARDED, signalNumber } from "./supervise/signals.ts";

const KIND = "runs";
/** The namespaces of the caller that decide over an image: which rights he has at all. */
export const RERUN_NAMESPACES = ["user"] as const;

/**
 * Keeps the steps of running a bundle once more, which `bin/runtime` goes through without starting Deno (`planRerun`).
 * That they cannot be kept is no failure.
 *
 * @param bundle Absolute path of the bundle.
 * @param keyOf The key of the image if config.json has this text.
 */
export function keepRerun(
  bundle: string,
  { key, kinds, image, warnings = [] }: KeyedImage,
  keyOf: (config: string) => string,
): void {
  try {
    const config = settledStamp(`${bundle}/config.json`);
    if (keyOf(readConfig(bundle)) !== key) return; // another one by now
    const { inode, device } = stampAt(bundle);
    const request = {
      arch: Deno.build.arch as Arch,
      bundle,
      directory: { inode, device },
      config,
      executable: stampAt("/proc/self/exe"),
      caller: rightsNow(RERUN_NAMESPACES),
      kinds: Object.fromEntries(Object.entries(kinds).map(([path, kind]) => [path, lookOf(path, kind)])),
      elf: image.elf,
      warnings,
      signals: FORWARDED.map(signalNumber),
    };
    keepFile(KIND, rerunFile(inode), () => assembleTable(planRerun(request)));
  } catch {
    // What has changed need not be run again.
  }
}

/** The name of the file with the steps: the stub of the executable knows of a bundle no more than its directory. */
export function rerunFile(inode: bigint): string {
  return inode.toString(16).padStart(16, "0");
}

/** What the steps look for at a path of which the image knows this. */
export function lookOf(path: string, kind: string): RerunRequest["kinds"][string] {
  if (kind === "root" || kind === "directory" || kind === "file") return kind;
  if (kind === NOTHING) return "nothing";
  const stamp = settledStamp(path, false);
  if (lookAt(path) !== kind) throw new Error(`Cannot go by "${path}": it has changed`);
  return stamp;
}
