/** Runs one program in a sandbox made for it: `deno run -A examples/hello.ts` */

import { Sandbox } from "../mod.ts";

// Disposing of the sandbox, at the end of this scope, ends everything in it.
await using sandbox = await Sandbox.run({ command: ["sh", "-c", 'echo "hello from process $$"'] });

console.log(await new Response(sandbox.stdout).text());
const { exitCode, wallMs } = await sandbox.wait();
console.log(`It ended with ${exitCode} after ${wallMs.toFixed()} ms.`);
