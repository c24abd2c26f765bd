/** The least and the most that the kernel keeps of `cpu.shares`. */
export const [LEAST_SHARES, MOST_SHARES] = [2, 262_144];

/**
 * From the 2 to 262,144 of `cpu.shares` to the 1 to 10,000 of `cpu.weight`, as runc converts since 1.3.2 and crun since
 * 1.23: the usual 1,024 become the usual 100.
 */
export function weightOfShares(shares: number | bigint): number {
  const inRange = Math.min(Math.max(Number(shares), LEAST_SHARES), MOST_SHARES);
  if (inRange === LEAST_SHARES) return 1;
  if (inRange === MOST_SHARES) return 10_000;
  const power = Math.log2(inRange);
  return Math.ceil(10 ** ((power ** 2 + 125 * power) / 612 - 7 / 34));
}
