/** Notes at directories (xattr(7)): they go when the directory does. */

import { unless } from "./errno.ts";
import { libc } from "./libc.ts";
import { cstring } from "./memory.ts";

/** Those that only root of the host can write, and those of whoever owns the directory. */
const KINDS = ["trusted", "user"] as const;
const MOST_BYTES = 256;
const [ENOENT, EPERM, ENODATA, EOPNOTSUPP] = [2, 1, 61, 95];

/** Writes a note at a directory; whether it is there now: not every file system takes any, or from everybody. */
export function setMark(path: string, name: string, value: string): boolean {
  const bytes = new TextEncoder().encode(value);
  return KINDS.some((kind) => {
    const size = BigInt(bytes.length);
    return libc.setxattr(cstring(path), cstring(`${kind}.${name}`), bytes, size, 0) === 0;
  });
}

/** The note of that name at a directory, if there is one; root's is believed before its owner's. */
export function getMark(path: string, name: string): string | undefined {
  for (const kind of KINDS) {
    const bytes = new Uint8Array(MOST_BYTES);
    const read = (): bigint =>
      libc.getxattr(cstring(path), cstring(`${kind}.${name}`), bytes, BigInt(bytes.length));
    const size = unless([ENOENT, ENODATA, EOPNOTSUPP, EPERM], read, "read the note at", path);
    if (size !== undefined) return new TextDecoder().decode(bytes.subarray(0, size));
  }
  return undefined;
}
