import { deepEqual, equal, match } from "node:assert/strict";
import { AuditLog } from "../../network/audit/log.ts";
import type { AuditEntry } from "../../network/audit/record.ts";
import { auditLogPath } from "../../mod.ts";
import { cli, start, Temporary, until } from "../helpers/cli.ts";

const ENTRIES: readonly AuditEntry[] = [
  {
    sandbox: "box",
    kind: "dns",
    verdict: "deny",
    rule: "default",
    reason: "no rule allows it",
    name: "evil\x1b.example",
  },
  {
    ...{ sandbox: "box", kind: "request", verdict: "allow", rule: "api", name: "api.example", port: 443 },
    ...{ protocol: "https", method: "GET", path: "/v1", status: 200, address: "192.0.2.1" },
  },
  {
    sandbox: "box",
    kind: "packet",
    verdict: "deny",
    rule: "builtin:packet",
    address: "2001:db8::1",
    port: 53,
    protocol: "udp",
  },
];

/** The root of containers with the log of one, `box`. */
function logged(here: Temporary): { root: string; path: string; log: AuditLog } {
  const root = `${here.path}/root`;
  const path = auditLogPath("box", root);
  Deno.mkdirSync(path.replace(/\/[^/]*$/, ""), { recursive: true });
  const log = AuditLog.open(path);
  for (const entry of ENTRIES) log.append(entry);
  return { root, path, log };
}

Deno.test("audit shows each attempt with the verdict and the rule", async () => {
  using here = new Temporary();
  const { root, log } = logged(here);
  log[Symbol.dispose]();
  const { stdout, code } = await cli(["--root", root, "audit", "box"]);
  equal(code, 0);
  deepEqual(stdout.split("\n").map((line) => line.slice(26)), [
    "deny   dns      evil\\u{1b}.example  (default: no rule allows it)",
    "allow  request  GET https://api.example:443/v1  200  (api)",
    "deny   packet   udp://[2001:db8::1]:53  (builtin:packet)",
    "",
  ]);
  const json = await cli(["--root", root, "audit", "--format", "json", "box"]);
  deepEqual(json.stdout.trim().split("\n").map((line) => JSON.parse(line).sequence), [1, 2, 3]);
});

Deno.test("audit --verify says where a log is broken", async () => {
  using here = new Temporary();
  const { root, path, log } = logged(here);
  log[Symbol.dispose]();
  const whole = await cli(["--root", root, "audit", "--verify", "box"]);
  deepEqual([whole.code, whole.stdout], [0, "whole: 3 records, the last is 3\n"]);
  const lines = Deno.readTextFileSync(path).split("\n");
  Deno.writeTextFileSync(path, lines.toSpliced(1, 1).join("\n"));
  const broken = await cli(["--root", root, "audit", "--verify", "box"]);
  deepEqual([broken.code, broken.stdout], [1, "broken at 2: it is missing: 3 comes next\n"]);
  const json = await cli(["--root", root, "audit", "--verify", "--format", "json", "box"]);
  deepEqual([json.code, JSON.parse(json.stdout).sequence], [1, 2]);
});

Deno.test("audit --follow goes on with what comes", async () => {
  using here = new Temporary();
  const { root, log } = logged(here);
  using _log = log;
  await using follower = start(["--root", root, "audit", "--follow", "box"]);
  log.append({ ...ENTRIES[0]!, name: "late.example" });
  match(await until(follower.stdout, "late.example"), /evil[^]*api\.example[^]*late\.example/);
});

Deno.test("audit refuses what it cannot show", async () => {
  using here = new Temporary();
  const none = await cli(["--root", here.path, "audit", "box"]);
  equal(none.code, 1);
  match(none.stderr, /Cannot show the audit of "box": it has none, for it has no network policy/);
  match((await cli(["--root", here.path, "audit", "../box"])).stderr, /invalid container id|Cannot use/i);
  match((await cli(["audit", "--follow", "--verify", "box"])).stderr, /Cannot follow and verify at once/);
  match((await cli(["audit"])).stderr, /name one container/);
});
