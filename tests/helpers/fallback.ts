import { deepEqual } from "node:assert/strict";
import { probeLandlock } from "../../runtime/host/probe.ts";
import { leavesNothing } from "./census.ts";
import { ForbiddenHost } from "./no_namespaces.ts";

/** What the fall-back takes of Landlock's interface. */
const NEEDED_ABI = 6;
const missing = Deno.uid() !== 0
  ? "needs root to forbid user namespaces below one of its own"
  : (probeLandlock() ?? 0) < NEEDED_ABI
  ? `needs version ${NEEDED_ABI} of Landlock's interface`
  : undefined;
if (missing) console.log(`SKIP tests of run --fallback landlock: ${missing}`);

let shared: ForbiddenHost | undefined;
globalThis.addEventListener("unload", () => shared?.[Symbol.dispose]());

/** A test on a host that forbids user namespaces; nothing may be left of it. */
export function fallbackTest(name: string, body: (host: ForbiddenHost) => Promise<void>): void {
  Deno.test({
    name,
    ignore: missing !== undefined,
    fn: async () => {
      const host = shared ??= new ForbiddenHost();
      await leavesNothing([], () => body(host));
      deepEqual([...Deno.readDirSync(host.tmp)], []);
    },
  });
}

/** The words of the command line. */
export const FALLBACK = ["run", "--fallback", "landlock"];

/** A script of the shell. */
export function sh(script: string): string[] {
  return ["sh", "-c", script];
}

/** A script of Python. */
export function python(script: string): string[] {
  return ["/usr/bin/python3", "-c", script];
}
