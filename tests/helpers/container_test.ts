import { leavesNothing } from "./census.ts";
import { naming } from "./skip.ts";

/** Why this machine cannot run containers for a test; nothing if it can. */
function missing(): string | undefined {
  if (Deno.uid() !== 0) return "needs root";
  try {
    Deno.statSync("/usr/bin/busybox");
    return undefined;
  } catch {
    return "needs /usr/bin/busybox (busybox-static)";
  }
}
const reason = missing();
if (reason !== undefined) console.log(`SKIP tests of containers: ${reason}`);

/** A test that makes containers as root, and must leave no process, mount, cgroup, namespace or file behind. */
export function containerTest(name: string, body: () => Promise<void>): void {
  Deno.test({
    name,
    ignore: reason !== undefined,
    fn: (test) => naming(test, () => leavesNothing([], body, { waitMs: 30_000 })),
  });
}
