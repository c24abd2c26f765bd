import { deepEqual } from "node:assert/strict";
import { TestBundle } from "./launch_bundle.ts";
import { naming } from "./skip.ts";

/** Far longer than it takes on a busy machine. */
const WAIT_MS = 30_000;
let warm = false;

/** Why this machine cannot run sandboxes for a test; nothing if it can. */
function missing(): string | undefined {
  if (Deno.uid() !== 0) return "needs root";
  if (!exists("/usr/bin/busybox")) return "needs /usr/bin/busybox (busybox-static)";
  if (!/^CapEff:\s*[0-9a-f]{8}[0-9a-f]*$/m.test(Deno.readTextFileSync("/proc/self/status"))) {
    return "needs /proc";
  }
  return undefined;
}
const reason = missing();
if (reason !== undefined) console.log(`SKIP tests that launch sandboxes: ${reason}`);

/** A test that launches sandboxes as root and must leave no mount, descriptor or process behind. */
export function launchTest(name: string, body: (bundle: TestBundle) => Promise<void> | void): void {
  Deno.test({
    name,
    ignore: reason !== undefined,
    fn: (test) =>
      naming(test, async () => {
        await warmUp();
        const before = holdings();
        {
          using bundle = new TestBundle();
          await body(bundle);
        }
        deepEqual(await settled(before), []);
      }),
  });
}

/** What is opened once and kept, such as the reactor, exists after the first sandbox. */
async function warmUp(): Promise<void> {
  if (warm) return;
  warm = true;
  using bundle = new TestBundle();
  await bundle.output("true");
}

async function settled(before: readonly string[]): Promise<string[]> {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const left = holdings().filter((one) => !before.includes(one));
    if (left.length === 0 || Date.now() > deadline) return left;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Mounts, descriptors and child processes of this process. */
function holdings(): string[] {
  return [...mounts(), ...descriptors(), ...children()];
}

function mounts(): string[] {
  return Deno.readTextFileSync("/proc/self/mountinfo").trim().split("\n").map((line) => `mount ${line}`);
}

function* descriptors(): Iterable<string> {
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      const target = Deno.readLinkSync(`/proc/self/fd/${name}`);
      if (!target.startsWith("/proc/")) yield `descriptor ${name} ${target}`;
    } catch {
      // The one that lists the directory.
    }
  }
}

function* children(): Iterable<string> {
  for (const { name } of Deno.readDirSync("/proc/self/task")) {
    for (const pid of childrenOf(name).split(" ")) if (pid !== "") yield `process ${pid}`;
  }
}

/** Those of a thread, which may have ended by now: threads of Deno come and go. */
function childrenOf(thread: string): string {
  try {
    return Deno.readTextFileSync(`/proc/self/task/${thread}/children`).trim();
  } catch {
    return "";
  }
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path) !== undefined;
  } catch {
    return false;
  }
}
