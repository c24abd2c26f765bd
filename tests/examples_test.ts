import { deepEqual, equal, match } from "node:assert/strict";
import { leavesNothing } from "./helpers/census.ts";
import { cli, ROOT, type Said } from "./helpers/cli.ts";

const HELLO = "Hello from inside a sandbox: I am process 1 on host hello.";
const DENO = [Deno.execPath(), "run", "--quiet", "-A"];

/** What each example prints on stdout. */
const PRINTS: Record<string, RegExp> = {
  "hello.ts": /^hello from process 1\n\nIt ended with 0 after \d+ ms\.\n$/,
  "agent_code.ts": new RegExp([
    "^a sum: 5050 \\(exit code 0\\)",
    "an error: ZeroDivisionError: division by zero \\(exit code 1\\)",
    "a look at the host: FileNotFoundError: .*'/etc/shadow' \\(exit code 1\\)",
    "a call home: OSError: .*Network is unreachable \\(exit code 1\\)",
    "an endless loop: nothing \\(the time was up\\)\n$",
  ].join("\n")),
  "streams.ts": /^1000 numbers from 0 to 999\n$/,
  "many.ts": /^1:\n2: 2\n(\d+:( \d+)+\n){37}40: 2 2 2 5\n$/,
  "terminal.ts": /^6 \* 7 → 42\nimport os; .* → 80\npython3 ended with 3\n$/,
  "cli.sh": new RegExp([
    `^${HELLO}`,
    "Python says 42",
    "for you",
    "ended with 124",
    '  "exitCode": 0,',
    " +\\d+ init +.*execve\\(.*",
    `${HELLO}\n$`,
  ].join("\n")),
};

Deno.test("every example is tested", () => {
  const names = [...Deno.readDirSync(`${ROOT}/examples`)].map(({ name }) => name);
  deepEqual(names.filter((name) => /\.(ts|sh)$/.test(name)).sort(), Object.keys(PRINTS).sort());
});

for (const [name, prints] of Object.entries(PRINTS)) {
  Deno.test(`examples/${name} works`, async () => {
    const file = `${ROOT}/examples/${name}`;
    const program = name.endsWith(".ts") ? [...DENO, file] : [file];
    const said: Said = await leavesNothing([], () => cli([], { program, cwd: "/" }));
    equal(said.code, 0, said.stderr);
    match(said.stdout, prints);
  });
}
