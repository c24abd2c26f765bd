import { deepEqual, equal, match, throws } from "node:assert/strict";
import { Sandbox, UnsupportedError } from "../mod.ts";
import { narrowed } from "../runtime/landlock.ts";
import { refuseBeyondAbi } from "../runtime/plan/landlock.ts";
import { policyOf } from "../runtime/policy/load.ts";
import { lacksLandlock } from "./helpers/landlock.ts";
import { failure, sandboxTest } from "./helpers/sandboxes.ts";

const PROGRAMS = ["/usr/bin/", "/usr/lib/", "/lib64/"];
const FILES = {
  read: ["/usr/"],
  list: ["/tmp/"],
  write: ["/tmp/", "/dev/null"],
  execute: PROGRAMS,
  reason: "test",
};

/** What a shell script prints under a policy that says more than `default`. */
async function shell(script: string, more: Record<string, unknown>): Promise<string> {
  const policy = policyOf({ name: "mine", ...more }, "mine");
  await using sandbox = await Sandbox.run({ command: ["sh", "-c", `exec 2>&1; ${script}`], policy });
  const text = await new Response(sandbox.stdout).text();
  await sandbox.wait();
  return text;
}

for (
  const [what, script, wanted] of [
    ["reading", "cat /etc/passwd", /cat: \/etc\/passwd: Permission denied/],
    ["writing", "echo x > /var/x", /cannot create \/var\/x: Permission denied/],
    ["making a directory", "mkdir /var/x", /cannot create directory .\/var\/x.: Permission denied/],
    ["listing", "ls /var", /cannot open directory '\/var': Permission denied/],
    ["executing", "cp /bin/true /tmp/true; /tmp/true", /\/tmp\/true: Permission denied/],
  ] as const
) {
  sandboxTest(`a policy's files: ${what} elsewhere is refused`, async () => {
    if (lacksLandlock(2)) return;
    match(await shell(script, { files: FILES }), wanted);
    equal(wanted.test(await shell(script, {})), false, "it works without them");
  });
}

sandboxTest("a policy's files: what they name can be used", async () => {
  if (lacksLandlock(2)) return;
  const script =
    "echo x > /tmp/x && mkdir /tmp/d && mv /tmp/x /tmp/d && ls /tmp >/dev/null && head -c 4 /usr/bin/sh";
  equal(await shell(script, { files: FILES }), "\x7fELF");
});

const LOOPBACK = `python3 -c '
import socket
def tell(what, act):
  try: act(); print(what, "yes")
  except PermissionError: print(what, "no")
a, b = socket.socket(), socket.socket()
tell("bind 5000", lambda: (a.bind(("127.0.0.1", 5000)), a.listen()))
tell("bind 5001", lambda: (b.bind(("127.0.0.1", 5001)), b.listen()))
tell("connect 5000", lambda: socket.create_connection(("127.0.0.1", 5000)))
tell("connect 5001", lambda: socket.create_connection(("127.0.0.1", 5001)))'`;

sandboxTest("a policy's ports: only those can be bound and connected to", async () => {
  if (lacksLandlock(4)) return;
  equal(await shell(LOOPBACK, {}), "bind 5000 yes\nbind 5001 yes\nconnect 5000 yes\nconnect 5001 yes\n");
  equal(
    await shell(LOOPBACK, { ports: { bind: [5000, 5001], connect: [5001], reason: "test" } }),
    "bind 5000 yes\nbind 5001 yes\nconnect 5000 no\nconnect 5001 yes\n",
  );
  match(await shell(LOOPBACK, { ports: { bind: [5000], connect: [], reason: "test" } }), /bind 5001 no\n/);
});

Deno.test("a policy's ports are refused by name where Landlock knows none", () => {
  const rules = { abi: 3, handled: [], rules: [], scoped: [] };
  const ports = { bind: [], connect: [80], reason: "test" };
  throws(
    () => refuseBeyondAbi(narrowed(rules, { ports })),
    new UnsupportedError(
      "Landlock to TCP ports",
      "it takes version 4 of its interface, and this kernel has version 3",
      "use a newer kernel",
    ),
  );
});

sandboxTest("a directory in a policy's files that is a file fails by name", async () => {
  if (lacksLandlock(2)) return;
  const files = { ...FILES, read: ["/usr/", "/etc/passwd/"] };
  match((await failure(shell("true", { files }))).message, /allow read at "\/etc\/passwd\/" .*ENOTDIR/);
});

Deno.test("a policy's files name directories to list", () => {
  const files = { read: [], list: ["/tmp"], write: [], execute: [], reason: "test" };
  throws(() => policyOf({ name: "mine", files }, "mine"), /\/files\/list\/0: Cannot list a file/);
  deepEqual(policyOf({ name: "mine", files: { ...files, list: ["/tmp/"] } }, "mine").files?.list, ["/tmp/"]);
});
