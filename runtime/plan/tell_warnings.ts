import { mark, type Op, op, text } from "./op.ts";
import { outlive } from "./unaided.ts";

/** Says on stderr what commands say of a bundle each time: that nobody reads it keeps nothing from going on. */
export function* tellWarnings(warnings: readonly string[]): Iterable<Op> {
  if (warnings.length === 0) return;
  const said = text(warnings.map((warning) => `runtime: ${warning}\n`).join(""));
  yield outlive("readers");
  yield op("tell what is not as the bundle says", "write", [2, said, said.bytes.length], {
    failed: "warnings:told",
  });
  yield mark("warnings:told");
}
