import { createHash } from "node:crypto";
import { check } from "../ffi/errno.ts";
import { libc } from "../ffi/libc.ts";
import { open } from "../ffi/fd.ts";
import { HOW } from "./file_stamp.ts";
import type { FileSeal } from "./manifest.ts";
import { imageNames, PIECE_BYTES } from "./seals.ts";

/** The seal of every file of a directory of images, by name, while CRIU waits: what it has beside files is left out. */
export function sealAllNow(directory: string): Record<string, FileSeal> {
  return Object.fromEntries(imageNames(directory).map((name) => [name, sealNow(`${directory}/${name}`)]));
}

/** The same as {@linkcode seal}, without a promise: loading this takes longer than hashing a small file. */
export function sealNow(path: string): FileSeal {
  using file = open(path, HOW);
  const all = createHash("sha256");
  const buffer = new Uint8Array(1 << 20);
  let bytes = 0;
  for (let left = 1; left > 0;) {
    const piece = createHash("sha256");
    let length = 0;
    for (; length < PIECE_BYTES && left > 0; length += left) {
      left = check(
        libc.read(file.raw, buffer, BigInt(Math.min(buffer.length, PIECE_BYTES - length))),
        "read",
        path,
      );
      piece.update(buffer.subarray(0, left));
    }
    if (length > 0) all.update(piece.digest());
    bytes += length;
  }
  return { bytes, sha256: all.digest("hex") };
}
