/** The little of tar(5) that an archive of a snapshot takes: ordinary files in one directory. */

const BLOCK = 512;
const [NAME, SIZE, CHECKSUM, TYPE, MAGIC] = [[0, 100], [124, 12], [148, 8], [156, 1], [257, 6]] as const;
const encoder = new TextEncoder();
const MOST_OCTAL = 0o77777777777;

/** The header of a file (ustar). */
export function tarHeader(name: string, sizeBytes: number): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(BLOCK);
  const put = ([at]: readonly [number, number], text: string): void => header.set(encoder.encode(text), at);
  const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, "0") + "\0";
  put(NAME, name);
  put([100, 8], octal(0o600, 7));
  put([108, 8], octal(0, 7));
  put([116, 8], octal(0, 7));
  put([136, 12], octal(0, 11));
  if (sizeBytes <= MOST_OCTAL) put(SIZE, octal(sizeBytes, 11));
  else {
    header[SIZE[0]] = 0x80; // a binary number follows
    new DataView(header.buffer).setBigUint64(SIZE[0] + 4, BigInt(sizeBytes));
  }
  put(TYPE, "0");
  put(MAGIC, "ustar\x0000");
  put(CHECKSUM, "        ");
  put(CHECKSUM, sum(header).toString(8).padStart(6, "0") + "\0 ");
  return header;
}

/** How many bytes follow a file so that the next begins with a block. */
export function padding(sizeBytes: number): number {
  return (BLOCK - sizeBytes % BLOCK) % BLOCK;
}

/** What the end of an archive is. */
export const TAR_END: Uint8Array<ArrayBuffer> = new Uint8Array(2 * BLOCK);

/** Size of a header. */
export const HEADER_BYTES = BLOCK;

/**
 * Reads a header.
 *
 * @returns Nothing at the end of an archive.
 * @throws {Error} if it is none, or of anything but an ordinary file.
 */
export function readTarHeader(
  header: Uint8Array<ArrayBuffer>,
): { readonly name: string; readonly sizeBytes: number } | undefined {
  if (header.every((byte) => byte === 0)) return undefined;
  const field = ([at, length]: readonly [number, number]): string => {
    return new TextDecoder("latin1").decode(header.subarray(at, at + length)).split("\0")[0]!;
  };
  if (field(MAGIC) !== "ustar" || parseInt(field(CHECKSUM), 8) !== sum(header)) {
    throw new Error("it is no archive");
  }
  const name = field(NAME);
  const type = field(TYPE);
  if (type !== "0" && type !== "") throw new Error(`"${name}" is no ordinary file`);
  const view = new DataView(header.buffer, header.byteOffset);
  const isBinary = header[SIZE[0]] === 0x80;
  const sizeBytes = isBinary ? Number(view.getBigUint64(SIZE[0] + 4)) : parseInt(field(SIZE), 8);
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw new Error(`"${name}" has no size`);
  return { name, sizeBytes };
}

/** The sum of a header's bytes, its own field as spaces. */
function sum(header: Uint8Array): number {
  return header.reduce((all, byte, at) => all + (at >= CHECKSUM[0] && at < CHECKSUM[0] + 8 ? 32 : byte), 0);
}
