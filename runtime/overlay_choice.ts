import type { OverlayChoice } from "./bundle.ts";
import { UsageError } from "./errors.ts";
import { readSize } from "./size.ts";

/**
 * What lies over a root file system: `none` or `tmpfs[:size=64m]`.
 *
 * @param where What says so, such as `--overlay`.
 * @throws {UsageError} if it says something else.
 */
export function readOverlay(text: string, where: string): OverlayChoice {
  if (text === "none") return { kind: "none" };
  const [, size] = /^tmpfs(?::size=(.+))?$/.exec(text) ?? [];
  if (!text.startsWith("tmpfs") || (size === undefined && text !== "tmpfs")) {
    throw new UsageError(`Cannot use "${text}" for ${where}: write none, tmpfs or tmpfs:size=64m`);
  }
  return size === undefined ? { kind: "tmpfs" } : { kind: "tmpfs", sizeBytes: readSize(size, where) };
}

/** What lies over the rootfs of a container, unless nothing does: the annotation of a bundle. */
const OVERLAY = "dev.ai-sandbox.overlay";

/** What a bundle's annotations say of an overlay. @throws {UsageError} if they say what cannot be. */
export function annotatedOverlay(annotations: Readonly<Record<string, string>> = {}): OverlayChoice {
  const text = annotations[OVERLAY];
  return text === undefined ? { kind: "none" } : readOverlay(text, `annotation "${OVERLAY}"`);
}
