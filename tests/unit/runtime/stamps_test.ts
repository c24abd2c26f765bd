import { equal, throws } from "node:assert/strict";
import { settled } from "../../../runtime/stamps.ts";

/** Milliseconds since it was changed, what of that its file system keeps, and whether the next change leaves a trace. */
const CASES = [
  [10, "all", false],
  [1_500, "all", true],
  [500, "seconds", false],
  [10_000, "seconds", true],
  [-10_000, "seconds", false],
] as const;
for (const [agoMs, keeps, isSettled] of CASES) {
  Deno.test(`settled() ${isSettled ? "goes" : "does not go"} by a file of ${agoMs} ms whose file system keeps ${keeps}`, () => {
    const changedMs = Date.now() - agoMs;
    const seconds = BigInt(Math.floor(changedMs / 1000));
    const changed = [seconds, keeps === "all" ? BigInt(changedMs % 1000) * 1_000_000n + 1n : 0n] as const;
    const stamp = { inode: 1n, sizeBytes: 2n, device: 3n, changed };
    if (isSettled) equal(settled("a file", stamp), stamp);
    else throws(() => settled("a file", stamp), /it is too new/);
  });
}
