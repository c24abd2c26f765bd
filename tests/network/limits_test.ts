import { deepEqual, equal, ok } from "node:assert/strict";
import type { AuditRecord } from "../../network/audit/record.ts";
import { containerTest } from "../helpers/container_test.ts";
import { NetworkWorld, OUTSIDE } from "../helpers/network_world.ts";

/** Runs a program under a policy with these limits; the lines that it prints, and its audit records. */
async function limited(
  limits: Readonly<Record<string, unknown>>,
  script: string,
): Promise<{ lines: string[]; records: AuditRecord[] }> {
  await using world = await NetworkWorld.create();
  await world.serve(`http:${OUTSIDE.first}:80`, `tcp:${OUTSIDE.first}:7`);
  const policy = `${world.path}/policy.json`;
  const rules = [
    { cidr: `${OUTSIDE.first}/32`, ports: [80], protocols: ["http"] },
    { cidr: `${OUTSIDE.first}/32`, ports: [7], protocols: ["tcp"] },
  ];
  Deno.writeTextFileSync(policy, JSON.stringify({ allow: rules, limits }));
  const flags = ["--id", "box", "--network-policy", policy];
  const program = `import http.client, socket, time\nADDRESS = "${OUTSIDE.first}"\n${script}`;
  const said = await world.runtime("run", ...flags, "--", "python3", "-c", program);
  equal(said.code, 0, said.stderr);
  const { stdout } = await world.runtime("audit", "--format", "json", "box");
  return {
    lines: said.stdout.trim().split("\n"),
    records: stdout.trim().split("\n").map((line) => JSON.parse(line) as AuditRecord),
  };
}

function deniedBy(records: readonly AuditRecord[], rule: string): number {
  return records.filter((each) => each.verdict === "deny" && each.rule === rule).length;
}

containerTest("a sandbox makes as many requests a minute as its policy says, and then gets 429", async () => {
  const { lines, records } = await limited(
    { requestsPerMinute: 3 },
    `for _ in range(5):
    one = http.client.HTTPConnection(ADDRESS); one.request("GET", "/"); print(one.getresponse().status)`,
  );
  deepEqual(lines, ["200", "200", "200", "429", "429"]);
  ok(deniedBy(records, "limit:requests") > 0);
});

containerTest("a sandbox has as many connections open as its policy says", async () => {
  const { lines, records } = await limited(
    { connections: 2 },
    `held = [socket.create_connection((ADDRESS, 7), 20) for _ in range(4)]
def answer(one):
    one.settimeout(20)
    try: return one.recv(100)[:3] and "open" or "closed"
    except OSError: return "closed"
print(" ".join(answer(one) for one in held))
for one in held: one.close()
end = time.monotonic() + 30
while (last := answer(socket.create_connection((ADDRESS, 7), 20))) != "open" and time.monotonic() < end: time.sleep(0.1)
print(last)`,
  );
  deepEqual(lines, ["open open closed closed", "open"]);
  ok(deniedBy(records, "limit:connections") > 0);
});

containerTest(
  "a sandbox sends and receives as many bytes as its policy says, over all connections",
  async () => {
    const { lines, records } = await limited(
      { uploadBytes: "100KB", downloadBytes: "50KB" },
      `def post(size):
    one = http.client.HTTPConnection(ADDRESS, timeout=30)
    try:
        one.request("POST", "/", b"x" * size)
        return one.getresponse().status
    except OSError: return "closed"
print(post(60_000)); print(post(60_000) in (429, "closed"))
one = socket.create_connection((ADDRESS, 7), 20); one.settimeout(20)
total = 0
try:
    one.sendall(b"x" * 60_000) # what it gets comes back
    while (got := len(one.recv(65536))): total += got
except OSError: pass
print(total < 50_000)`,
    );
    deepEqual(lines, ["200", "True", "True"]);
    ok(deniedBy(records, "limit:bytes") > 0);
  },
);

containerTest("a sandbox sends no faster than its policy says", async () => {
  const { lines } = await limited(
    { uploadBytesPerSecond: "200KB" },
    `one = http.client.HTTPConnection(ADDRESS, timeout=60)
begin = time.monotonic()
one.request("POST", "/", b"x" * 600_000); print(one.getresponse().status)
print(time.monotonic() - begin > 1)`,
  );
  deepEqual(lines, ["200", "True"]);
});
