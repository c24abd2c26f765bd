/** Runs Python code that nobody has looked at, with a timeout, and collects what it prints. */

import { type Result, Sandbox } from "../mod.ts";

/** What came of a piece of code. */
interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly result: Result;
}

/** The sandbox has no network and sees no file of this host but /usr; the code comes in through stdin. */
async function runPython(code: string, timeoutMs: number): Promise<Outcome> {
  await using sandbox = await Sandbox.run({ command: ["python3", "-"], stdin: "piped", timeoutMs });
  const writing = ReadableStream.from([new TextEncoder().encode(code)]).pipeTo(sandbox.stdin!);
  const [stdout, stderr, result] = await Promise.all([
    new Response(sandbox.stdout).text(),
    new Response(sandbox.stderr).text(),
    sandbox.wait(),
    writing.catch(() => {}), // a program need not read its input
  ]);
  return { stdout, stderr, result };
}

const PIECES = {
  "a sum": "print(sum(range(101)))",
  "an error": "print(1 / 0)",
  "a look at the host": "print(open('/etc/shadow').read())",
  "a call home": "import socket; socket.create_connection(('192.0.2.1', 80), 1)",
  "an endless loop": "while True: pass",
};

for (const [name, code] of Object.entries(PIECES)) {
  const { stdout, stderr, result } = await runPython(code, 5_000);
  const lastLine = stderr.trimEnd().split("\n").at(-1);
  const end = result.timedOut ? "the time was up" : `exit code ${result.exitCode}`;
  console.log(`${name}: ${stdout.trimEnd() || lastLine || "nothing"} (${end})`);
}
