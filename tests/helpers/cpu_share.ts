import type { CgroupGroup } from "../../runtime/cgroup/group.ts";

/** How many windows are measured: others may take so much of the machine that the limit is not reached. */
const TRIES = 4;

/**
 * What a group that wants more uses of its `cpus`: 1 is exactly that, within `tolerance` if the limit is kept. Nothing if
 * others take so much of the machine that it cannot be measured.
 *
 * The kernel hands out a quota each period, in slices to each CPU, and takes back later what was overrun. So a window can
 * see about a period's quota more than its length allows, by where it begins and ends. That does not grow with
 * the window: one that has seen too much is made longer, by which a limit that is not kept is told from that.
 */
export async function shareOfLimit(
  group: CgroupGroup,
  { cpus, windowMs, tolerance }: {
    readonly cpus: number;
    readonly windowMs: number;
    readonly tolerance: number;
  },
): Promise<number | undefined> {
  const sample = (): { usedMs: number; atMs: number } => {
    return { usedMs: group.stats().cpuUsageMs!, atMs: performance.now() };
  };
  let share = 0;
  for (let tries = 0, from = sample(); tries < TRIES; tries++) {
    await new Promise((resolve) => setTimeout(resolve, windowMs));
    const to = sample();
    share = (to.usedMs - from.usedMs) / (to.atMs - from.atMs) / cpus;
    console.log(`used ${(share * 100).toFixed(2)} % of the limit in ${Math.round(to.atMs - from.atMs)} ms`);
    if (Math.abs(share - 1) <= tolerance) return share;
    if (share < 1) from = to;
  }
  return share > 1 ? share : undefined;
}
