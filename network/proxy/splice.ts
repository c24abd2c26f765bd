import { SyscallError } from "../../ffi/errno.ts";
import { SplicePipe } from "../../ffi/pipe.ts";
import type { Flow } from "./sandbox.ts";
import { ConnectionStream, type Stream } from "./stream.ts";

/** Buffers begin small, and grow where a read fills them. */
const [FIRST_BYTES, MOST_BYTES] = [16384, 262144];
/** After how many bytes the kernel moves the rest, and how many are copied when that has to wait. */
const [MOVED_FROM_BYTES, WAITING_BYTES] = [4 << 20, 16384];
/** How many bytes are moved together, and pass before others have their turn. */
const [TOGETHER_BYTES, TURN_BYTES] = [1 << 20, 4 << 20];
/** How many directions may be moved at a time: each takes four descriptors. */
const MOST_MOVED = 256;
let moved = 0;
/** Bytes of all connections since others had their turn. */
let sinceTurn = 0;

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
    for (let turn = 0, total = 0;; turn ^= 1) {
      const buffer = buffers[turn]!;
      const count = await from.read(buffer);
      await written;
      if (count === null) break;
      await allowed(count, direction);
      written = to.write(buffer.subarray(0, count));
      written.catch(() => {}); // it is waited for above
      direction.passed(count);
      if ((total += count) >= MOVED_FROM_BYTES) {
        await written;
        if (await move({ from, to, direction })) break;
        total = -Infinity;
      }
      // The other one is free: what it held is written.
      if (count === buffer.length && count < MOST_BYTES) buffers[turn ^ 1] = new Uint8Array(count * 2);
    }
  } finally {
    await written.catch(() => {});
  }
  await to.closeWrite();
}

/** A pipe from one connection to the other, where both are plain TCP, and there are not too many already. */
function pipeBetween(from: Stream, to: Stream): SplicePipe | undefined {
  if (moved >= MOST_MOVED) return undefined;
  using stack = new DisposableStack();
  try {
    const [one, other] = [from, to].map((stream) => {
      const raw = stream instanceof ConnectionStream ? stream.descriptor() : undefined;
      return raw && stack.use(raw);
    });
    if (!one || !other) return undefined;
    const pipe = new SplicePipe(one, other);
    stack.move();
    return pipe;
  } catch (error) {
    if (error instanceof SyscallError) return undefined; // no descriptor is left: they can be copied still
    throw error;
  }
}

/**
 * Lets the kernel move bytes from one connection to the other until the end: they are counted, and nobody copies them.
 * A few are copied whenever it has to wait, as Deno knows how to wait for a connection.
 *
 * @returns Whether it could.
 */
async function move(
  { from, to, direction }: { readonly from: Stream; readonly to: Stream; readonly direction: Direction },
): Promise<boolean> {
  using pipe = pipeBetween(from, to);
  if (!pipe) return false;
  moved++;
  try {
    const buffer = new Uint8Array(WAITING_BYTES);
    for (;;) {
      const count = await from.read(buffer);
      if (count === null) return true;
      await allowed(count, direction);
      await to.write(buffer.subarray(0, count));
      direction.passed(count);
      if (count === buffer.length) await moveAll(pipe, buffer, { to, direction }); // there is more
    }
  } finally {
    moved--;
  }
}

/** Moves what is there, but not more than others can wait for. */
async function moveAll(
  pipe: SplicePipe,
  buffer: Uint8Array<ArrayBuffer>,
  { to, direction }: { readonly to: Stream; readonly direction: Direction },
): Promise<void> {
  for (let left = TURN_BYTES; left > 0;) {
    const count = pipe.fill(Math.min(TOGETHER_BYTES, direction.flow().atOnce));
    if (!count) return; // the end, or nothing yet: the next read knows
    left -= count;
    await allowed(count, direction);
    while (pipe.held > 0) {
      if (pipe.drain() === undefined) await to.write(buffer.subarray(0, pipe.takeOut(buffer)));
    }
    direction.passed(count);
  }
}

/** Waits until so many bytes may pass. */
export async function allowed(bytes: number, { flow, nowMs }: Direction): Promise<void> {
  const waitMs = flow().take(bytes, nowMs());
  if (waitMs === false) throw new TooMuch("the sandbox has used all the bytes that it may");
  if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
  // Reads and writes that need not wait are done at once: without this, two fast ends would keep all others waiting.
  if ((sinceTurn += bytes) < TURN_BYTES) return;
  sinceTurn = 0;
  await new Promise((resolve) => setImmediate(resolve));
}
