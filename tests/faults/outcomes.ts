import type { Outcome } from "./sweep.ts";

/** A point with what is wrong, as lines. */
export function describe({ scenario, point, hit, code, stderr, problems }: Outcome): string {
  const what = `${scenario} ${point} ${hit?.name ?? ""} ${hit?.detail ?? ""} (status ${code})`;
  const said = stderr.trim().split("\n").slice(-3).map((line) => `it said: ${line}`);
  return [what, ...problems.slice(0, 6), ...said].join("\n  ");
}
