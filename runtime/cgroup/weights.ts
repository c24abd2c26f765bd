/**
 * From the 2 to 262,144 of `cpu.shares` to the 1 to 10,000 of `cpu.weight`, as runc converts since 1.3.2 and crun since
 * 1.23: the usual 1,024 become the usual 100.
 */
export function weightOfShares(shares: number | bigint): number {
  const [least, most] = [2, 262_144];
  const inRange = Math.min(Math.max(Number(shares), least), most);
  if (inRange === least) return 1;
  if (inRange === most) return 10_000;
  const power = Math.log2(inRange);
  return Math.ceil(10 ** ((power ** 2 + 125 * power) / 612 - 7 / 34));
}
