import { deepEqual } from "node:assert/strict";
import { ROOT } from "../../helpers/cli.ts";

/** In a process of its own: there signals come to the thread that waits, in a test they come to another. */
const WAITS = `
import { openPidFd } from "${ROOT}/ffi/process.ts";
import { pollOne } from "${ROOT}/ffi/poll.ts";
const caught = Promise.withResolvers();
Deno.addSignalListener("SIGUSR1", caught.resolve);
const file = Deno.makeTempFileSync();
const send = "kill -USR1 $PPID; sleep 0.02";
const script = \`while [ -e "$0" ]; do \${send}; done; for i in $(seq 10); do \${send}; done\`;
const sender = new Deno.Command("sh", { args: ["-c", script, file], stdin: "null" }).spawn();
using process = openPidFd(sender.pid);
const poll = () => new Int32Array([process.raw, 1]);
const began = performance.now();
const first = pollOne(poll(), 300, "wait");
const waited = performance.now() - began >= 300;
Deno.removeSync(file);
const second = pollOne(poll(), 60_000, "wait");
await Promise.all([sender.status, caught.promise]);
console.log(JSON.stringify({ first, waited, second }));
Deno.exit();
`;

Deno.test("pollOne() waits through signals that are caught, until there is something or the time is up", async () => {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), { args: ["eval", WAITS], cwd: ROOT })
    .output();
  const said = new TextDecoder().decode(stdout) || new TextDecoder().decode(stderr);
  deepEqual(JSON.parse(said), { first: false, waited: true, second: true });
});
