/** What an archive begins with: files, links and directories by their path, without a leading slash. */
export type Node =
  | { readonly kind: "file"; readonly path: string; readonly mode: number; readonly bytes: Uint8Array }
  | { readonly kind: "link"; readonly path: string; readonly to: string }
  | { readonly kind: "directory"; readonly path: string; readonly mode: number };

const TYPE = { file: 0o100000, link: 0o120000, directory: 0o040000 } as const;
const BLOCK = 4;

/**
 * An archive that the kernel unpacks as its first file system, everything owned by root
 * (Documentation/driver-api/early-userspace/buffer-format.rst, format "newc"). Directories must come before what is
 * in them.
 *
 * @example
 * ```ts
 * import { equal } from "node:assert/strict";
 * const archive = cpio([{ kind: "file", path: "a", mode: 0o644, bytes: new Uint8Array(3) }]);
 * equal(new TextDecoder().decode(archive.subarray(0, 6)), "070701");
 * equal(archive.length % 4, 0);
 * ```
 */
export function cpio(nodes: Iterable<Node>): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  let number = 1;
  for (const node of nodes) parts.push(...entry(node, number++));
  parts.push(...entry({ kind: "directory", path: "TRAILER!!!", mode: 0 }, 0));
  return join(parts);
}

function* entry(node: Node, number: number): Iterable<Uint8Array> {
  const encoder = new TextEncoder();
  const path = encoder.encode(`${node.path}\0`);
  const data = node.kind === "file" ? node.bytes : encoder.encode(node.kind === "link" ? node.to : "");
  const mode = TYPE[node.kind] | (node.kind === "link" ? 0o777 : node.mode);
  const fields = [number, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, path.length, 0];
  const head = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
  yield* padded(encoder.encode(head), path);
  yield* padded(data);
}

/** The parts, and zeros up to the next multiple of four. */
function* padded(...parts: readonly Uint8Array[]): Iterable<Uint8Array> {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  yield* parts;
  yield new Uint8Array((BLOCK - length % BLOCK) % BLOCK);
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
