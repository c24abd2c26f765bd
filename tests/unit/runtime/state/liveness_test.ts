import { equal } from "node:assert/strict";
import { isAlive } from "../../../../runtime/state/liveness.ts";

/** How many processes are looked at while they end: of some, the file is opened but cannot be read any more. */
const ENDS = 300;

Deno.test("isAlive() says no of a process that ends while it is looked at", async () => {
  const bootId = Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim();
  const child = new Deno.Command("sh", { args: ["-c", "while :; do /bin/true; done"], stdin: "null" })
    .spawn();
  try {
    for (let ends = 0; ends < ENDS;) {
      const [pid] = Deno.readTextFileSync(`/proc/${child.pid}/task/${child.pid}/children`).split(" ");
      if (!pid) continue;
      const stat = startOf(pid);
      if (stat === undefined) continue;
      while (isAlive({ pid: Number(pid), startTicks: stat, bootId }));
      ends++;
    }
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
  equal(isAlive({ pid: child.pid, startTicks: 0, bootId }), false);
});

function startOf(pid: string): number | undefined {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[19]);
  } catch {
    return undefined; // it has ended
  }
}
