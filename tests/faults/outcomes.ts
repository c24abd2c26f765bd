import type { Outcome } from "./sweep.ts";

/** A point with what is wrong, as lines. */
export function describe({ scenario, point, hit, code, problems }: Outcome): string {
  const what = `${scenario} ${point} ${hit?.name ?? ""} ${hit?.detail ?? ""} (status ${code})`;
  return [what, ...problems.slice(0, 6).map((one) => `  ${one}`)].join("\n");
}
