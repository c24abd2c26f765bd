import { deepEqual, equal, ok } from "node:assert/strict";
import { Sandbox } from "../../mod.ts";
import { CgroupGroup } from "../../runtime/cgroup/group.ts";
import { probeHost } from "../../runtime/host/probe.ts";
import { shareOfLimit } from "./cpu_share.ts";
import { skip } from "./skip.ts";

const [CPUS, WINDOW_MS, MEMORY_BYTES] = [0.5, 5_000, 256 << 20];
const TOLERANCE = 0.02;
/** Until the first period is over and everybody runs. */
const SETTLE_MS = 1_000;

/**
 * Takes more and more memory, and is so small itself that the kernel soon finds nothing else to take back. A larger
 * program may go on for minutes at its limit, while its own code is thrown out and read again.
 */
const HOG = ["tail", "/dev/zero"];

/** Tests that limits are kept within 2 % over 5 s, by the kernel's own counters, on the hierarchies of this machine. */
export function measuredTests(): void {
  Deno.test(`half a CPU is half a CPU within 2 % over 5 s`, async () => {
    const id = `measured-${crypto.randomUUID().slice(0, 8)}`;
    const command = ["sh", "-c", "while :; do :; done & while :; do :; done"];
    await using sandbox = await Sandbox.run({ id, command, cpus: CPUS });
    const group = CgroupGroup.open(`ai-sandbox-${id}`, probeHost().cgroups);
    preferred(group);
    await sleep(SETTLE_MS);
    const share = await shareOfLimit(group, { cpus: CPUS, windowMs: WINDOW_MS, tolerance: TOLERANCE });
    sandbox.kill();
    if (share === undefined) return skip("others use so much of this machine that the limit is not reached");
    ok(share <= 1 + TOLERANCE, `used ${share} of what it may`);
  });

  Deno.test("256 MiB of memory are 256 MiB within 2 %, and the record names the limit", async () => {
    await using sandbox = await Sandbox.run({ command: HOG, memoryBytes: MEMORY_BYTES });
    const { exit, oomKilled, events } = await sandbox.wait();
    deepEqual(exit, { kind: "limit", limit: "memory" });
    equal(oomKilled, true);
    ok(events!.oomKills! >= 1, JSON.stringify(events));
    const version2 = probeHost().cgroups.every(({ version }) => version === 2);
    if (version2) {
      ok(events!.memoryLimitHits! >= 1 && events!.pressure!.memory.someMs > 0, JSON.stringify(events));
    }
    const most = residentWhenKilled(sandbox.pid) / MEMORY_BYTES;
    console.log(`reached ${(most * 100).toFixed(2)} % of the limit`);
    ok(Math.abs(most - 1) <= TOLERANCE, `reached ${most} of the limit`);
  });
}

/** What was a killed process's own in memory, as the kernel's log has it: pages of files that others read too do not count. */
function residentWhenKilled(pid: number): number {
  const { success, stdout } = new Deno.Command("dmesg").outputSync();
  ok(success, "dmesg");
  const lines = new TextDecoder().decode(stdout).matchAll(/Killed process (\d+) .*anon-rss:(\d+)kB/g);
  const found = [...lines].findLast(([, killed]) => Number(killed) === pid);
  return Number(found?.[2]) << 10;
}

/** Lets nobody else on a busy machine take what the limit leaves to the group. */
function preferred({ directories }: CgroupGroup): void {
  for (const [file, most] of [["cpu.shares", "262144"], ["cpu.weight", "10000"]] as const) {
    for (const directory of directories) {
      try {
        Deno.writeTextFileSync(`${directory}/${file}`, most, { create: false });
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error; // another hierarchy, or version
      }
    }
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
