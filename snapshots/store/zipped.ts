import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { check } from "../../ffi/errno.ts";
import { open } from "../../ffi/fd.ts";
import { libc } from "../../ffi/libc.ts";
import { unusable } from "../own_file.ts";
import { isPages, ZIPPED } from "./delta.ts";

/** So much is compressed by itself, behind the length of the outcome: no file is held in memory as a whole. */
const PIECE_BYTES = 16 << 20;
const LENGTH_BYTES = 4;
const O_NOFOLLOW = Deno.build.arch === "x86_64" ? 0o400000 : 0o100000;

/**
 * Compresses the memory of a snapshot. It is whole at each moment, however this ends.
 *
 * @returns How many bytes of pages are kept now.
 */
export function zipSnapshot(path: string): number {
  let kept = 0;
  for (const { name } of Array.from(Deno.readDirSync(path)).filter(({ name }) => isPages(name))) {
    const target = `${path}/${name}${ZIPPED}`;
    zipFile(`${path}/${name}`, `${target}.new`);
    Deno.renameSync(`${target}.new`, target);
    sync(path);
    Deno.removeSync(`${path}/${name}`);
    kept += Deno.statSync(target).size;
  }
  return kept;
}

function zipFile(source: string, target: string): void {
  using from = Deno.openSync(source);
  using to = Deno.openSync(target, { write: true, create: true, truncate: true, mode: 0o600 });
  const piece = new Uint8Array(PIECE_BYTES);
  for (let length = fill(from, piece); length > 0; length = fill(from, piece)) {
    const zipped = zstdCompressSync(piece.subarray(0, length));
    const head = new Uint8Array(LENGTH_BYTES);
    new DataView(head.buffer).setUint32(0, zipped.length, true);
    for (const part of [head, zipped]) writeAll(to, part);
  }
  to.syncSync();
}

/**
 * Writes a file of pages as it was.
 *
 * @param bytes How large it was: it may come from anybody, and is not made larger.
 * @throws {LifecycleError} if it cannot have been that.
 */
export function unzipFile(source: string, target: string, bytes: number): void {
  const wrong = (): Error => unusable(source, "it was cut off or altered");
  using link = open(source, O_NOFOLLOW);
  using from = Deno.openSync(`/proc/self/fd/${link.raw}`);
  using to = Deno.openSync(target, { write: true, createNew: true, mode: 0o600 });
  const head = new Uint8Array(LENGTH_BYTES);
  let left = bytes;
  for (let length = fill(from, head); length > 0; length = fill(from, head)) {
    const size = new DataView(head.buffer).getUint32(0, true);
    if (length < LENGTH_BYTES || size > 2 * PIECE_BYTES) throw wrong();
    const zipped = new Uint8Array(size);
    if (fill(from, zipped) < size) throw wrong();
    const piece = unzip(zipped, Math.min(left, PIECE_BYTES));
    if (!piece) throw wrong();
    writeAll(to, piece);
    left -= piece.length;
  }
  if (left > 0) throw wrong();
}

function unzip(bytes: Uint8Array, most: number): Uint8Array | undefined {
  try {
    return most > 0 ? zstdDecompressSync(bytes, { maxOutputLength: most }) : undefined;
  } catch {
    return undefined; // it is longer, or nothing that was compressed
  }
}

/** Reads until `bytes` are full, or the file ends. */
function fill(file: Deno.FsFile, bytes: Uint8Array): number {
  let length = 0;
  for (let count: number | null = 1; count && length < bytes.length; length += count) {
    count = file.readSync(bytes.subarray(length)) ?? 0;
  }
  return length;
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
}

function sync(path: string): void {
  using fd = open(path, 0);
  check(libc.fsync(fd.raw), "write", path);
}
