/** From the 2 to 262,144 of `cpu.shares` to the 1 to 10,000 of `cpu.weight`, as runc and crun convert. */
export function weightOfShares(shares: number | bigint): number {
  const least = 2;
  const most = 262_144;
  const inRange = Math.min(Math.max(Number(shares), least), most);
  return 1 + Math.floor(((inRange - least) * 9999) / (most - least));
}
