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
