import type { Flow } from "./sandbox.ts";
import type { Stream } from "./stream.ts";

/** Buffers begin small, and grow where a read fills them. */
const [FIRST_BYTES, MOST_BYTES] = [16384, 262144];

/** What counts and holds back the bytes of one direction. */
export interface Direction {
  readonly flow: () => Flow;
  readonly nowMs: () => number;
  /** Is told of bytes that went through. */
  readonly passed: (bytes: number) => void;
}

/** Bytes are more than a sandbox may send or receive. */
export class TooMuch extends Error {
  override readonly name = "TooMuch";
}

/** Copies until the end: while one buffer is written the other is read into. The other end is told of the end. */
export async function copy(
  from: Stream,
  to: Stream,
  direction: Direction,
  first?: Uint8Array,
): Promise<void> {
  const buffers = [new Uint8Array(FIRST_BYTES), new Uint8Array(FIRST_BYTES)];
  let written: Promise<void> = Promise.resolve();
  try {
    if (first && first.length > 0) {
      await allowed(first.length, direction);
      await to.write(first);
      direction.passed(first.length);
    }
    for (let turn = 0;; turn ^= 1) {
      const buffer = buffers[turn]!;
      const count = await from.read(buffer);
      await written;
      if (count === null) break;
      await allowed(count, direction);
      written = to.write(buffer.subarray(0, count));
      written.catch(() => {}); // it is waited for above
      direction.passed(count);
      // The other one is free: what it held is written.
      if (count === buffer.length && count < MOST_BYTES) buffers[turn ^ 1] = new Uint8Array(count * 2);
    }
  } finally {
    await written.catch(() => {});
  }
  await to.closeWrite();
}

/** Waits until so many bytes may pass. */
export async function allowed(bytes: number, { flow, nowMs }: Direction): Promise<void> {
  const waitMs = flow().take(bytes, nowMs());
  if (waitMs === false) throw new TooMuch("the sandbox has used all the bytes that it may");
  if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
}
