/** Runs many programs at once, a few at a time, each in a sandbox of its own. */

import { Sandbox } from "../mod.ts";

const AT_ONCE = 8;
const jobs = Array.from({ length: 40 }, (_, index) => index + 1);

async function factor(number: number): Promise<string> {
  await using sandbox = await Sandbox.run({ command: ["factor", String(number)], timeoutMs: 30_000 });
  return (await new Response(sandbox.stdout).text()).trim();
}

const results: string[] = [];
async function work(): Promise<void> {
  for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) results[job] = await factor(job);
}

const began = performance.now();
await Promise.all(Array.from({ length: AT_ONCE }, work));
console.log(results.slice(1).join("\n"));
console.error(`${results.length - 1} sandboxes in ${(performance.now() - began).toFixed()} ms`);
