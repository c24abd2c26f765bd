/** Two filters as one, which the kernel takes and asks sooner than two. */

import { INSTRUCTION_BYTES, JUMP, RETURN } from "./code.ts";
import { ACTIONS } from "./numbers.ts";

/** The program that answers as `first` does, and as `second` does where `first` lets a call through. */
export function chain(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  const words = new Uint32Array(bytes.buffer);
  const end = first.length / INSTRUCTION_BYTES;
  for (let at = 0; at < end; at++) {
    if (words[2 * at] !== RETURN || words[2 * at + 1] !== ACTIONS.SCMP_ACT_ALLOW) continue;
    words[2 * at] = JUMP;
    words[2 * at + 1] = end - at - 1;
  }
  return bytes;
}
