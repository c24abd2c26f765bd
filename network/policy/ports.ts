/** Ranges of ports. */

import type { PortRange } from "./policy.ts";

/** Every port that there is. */
export const ALL_PORTS: PortRange = { first: 1, last: 65535 };

/** Whether a port is in one of the ranges. */
export function hasPort(ranges: readonly PortRange[], port: number): boolean {
  return ranges.some(({ first, last }) => port >= first && port <= last);
}

/** What is in both. */
export function common(some: readonly PortRange[], others: readonly PortRange[]): PortRange[] {
  return some.flatMap((a) =>
    others.map((b) => ({ first: Math.max(a.first, b.first), last: Math.min(a.last, b.last) }))
  ).filter(({ first, last }) => first <= last);
}

/** What is in `ranges` and in none of `holes`. */
export function portsWithout(ranges: readonly PortRange[], holes: readonly PortRange[]): PortRange[] {
  return holes.reduce<PortRange[]>(
    (left, hole) =>
      left.flatMap(({ first, last }) =>
        [
          { first, last: Math.min(last, hole.first - 1) },
          { first: Math.max(first, hole.last + 1), last },
        ].filter((piece) => piece.first <= piece.last)
      ),
    [...ranges],
  );
}
