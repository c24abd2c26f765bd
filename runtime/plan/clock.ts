/** The time as ISO 8601, on a day that is known or the next: nothing here can divide. */

import { type Bytes, mark, named, type Op, op, slot, zeros } from "./op.ts";

const CLOCK_REALTIME = named("CLOCK_REALTIME", 0);
const DAY_SECONDS = 86_400;
/** How long `2026-01-01` is, and what it is made of. */
const [DATE_LENGTH, DASH, ZERO] = [10, 45, 48];
/** What is negative has all bits set in its last byte, in which no number is that we count with. */
const [LAST_BYTE, TOP_BYTE] = [7, 1n << 56n];
/** How much of a second or a day each digit stands for, and where it is in `2026-01-01T00:00:00.000Z`. */
const OF_DAY = [[36_000, 11], [3600, 12], [600, 14], [60, 15], [10, 17], [1, 18]] as const;
const OF_SECOND = [[100_000_000, 20], [10_000_000, 21], [1_000_000, 22]] as const;

/** A time of the day that begins `daySeconds` after 1970. */
export function timeText(daySeconds: number): Bytes {
  const date = new Date(daySeconds * 1000).toISOString();
  return { bytes: new TextEncoder().encode(date), shows: date };
}

/** Writes the time to `into`, a text of {@linkcode timeText}, on that day or the next; fails on another. */
export function* tellTime(daySeconds: number, into: Bytes): Iterable<Op> {
  const does = "tell the time";
  const now = zeros(16, "timespec");
  yield op(does, "clock_gettime", [CLOCK_REALTIME, now]);
  yield op(does, "load", [{ inside: now, offset: 0 }, 0], { into: "rest" });
  yield op(does, "let", [slot("rest"), -daySeconds, 1], { into: "rest" });
  yield* isNegative(does, "rest", { negative: "fail", otherwise: "time:day" });
  yield mark("time:day");
  yield op(does, "let", [slot("rest"), -DAY_SECONDS, 1], { into: "less" });
  yield* isNegative(does, "less", { negative: "time:today", otherwise: "time:later" });
  yield op(does, "let", [slot("less")], { label: "time:later", into: "rest" });
  yield op(does, "let", [slot("rest"), -DAY_SECONDS, 1], { into: "less" });
  yield* isNegative(does, "less", { negative: "time:tomorrow", otherwise: "fail" });
  yield mark("time:tomorrow");
  for (const [at, digit] of timeText(daySeconds + DAY_SECONDS).bytes.slice(0, DATE_LENGTH).entries()) {
    if (digit !== DASH) yield op(does, "decimal", [digit - ZERO, { inside: into, offset: at + 1 }]);
  }
  yield mark("time:today");
  for (const [unit, at] of OF_DAY) yield* digit(does, unit, at, into);
  yield op(does, "load", [{ inside: now, offset: 8 }, 0], { into: "rest" });
  for (const [unit, at] of OF_SECOND) yield* digit(does, unit, at, into);
}

/** Goes on by whether the slot has a number below 0; none may be far from it. */
export function* isNegative(
  does: string,
  name: string,
  { negative, otherwise }: { readonly negative: string; readonly otherwise: string },
): Iterable<Op> {
  yield op(does, "load", [{ address: name }, LAST_BYTE, 1], { into: "word" });
  yield op(does, "let", [0, slot("word"), TOP_BYTE], { zero: otherwise, positive: negative });
}

/** Takes the unit away from slot `rest` as often as it can, and writes how often. */
function* digit(does: string, unit: number, at: number, into: Bytes): Iterable<Op> {
  const name = `time:${at}`;
  yield op(does, "let", [0], { into: "digit" });
  yield op(does, "let", [slot("rest"), -unit, 1], { label: `${name}:next`, into: "less" });
  yield* isNegative(does, "less", { negative: `${name}:write`, otherwise: `${name}:less` });
  yield op(does, "let", [slot("less")], { label: `${name}:less`, into: "rest" });
  yield op(does, "let", [slot("digit"), 1, 1], { into: "digit", positive: `${name}:next` });
  yield op(does, "decimal", [slot("digit"), { inside: into, offset: at + 1 }], { label: `${name}:write` });
}
