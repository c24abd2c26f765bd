import { deepEqual, equal, match } from "node:assert/strict";
import { cli, Temporary } from "../helpers/cli.ts";

const POLICY = `
allow:
  - api.example.com
  - id: git
    host: git.example.com
    methods: [GET]
    paths: ["/repos/**"]
    headers: { x-team: "blue-*" }
    inspect: true
  - { cidr: 10.0.0.0/8, ports: [5432] }
`;

Deno.test("policy check says what a file allows, or every mistake in it with its pointer", async () => {
  using here = new Temporary();
  const good = here.file("good.yaml", POLICY);
  const bad = here.file("bad.json", '{ "allow": [{ "host": "127.1" }, { "host": "a.example", "port": 1 }] }');
  const right = await cli(["policy", "check", good]);
  equal(right.stdout, `${good}: 3 rules to allow, 0 to deny\n`);
  equal(right.code, 0);
  const wrong = await cli(["policy", "check", good, bad, "/nowhere"]);
  equal(wrong.code, 1);
  deepEqual(wrong.stdout.split("\n").slice(1, -1), [
    `${bad}: /allow/0/host: Cannot use "127.1": it ends in a number, as an address does`,
    `${bad}: /allow/1/port: Cannot use "port": there is no such property`,
    "/nowhere: /: Cannot read it: no such file",
  ]);
});

Deno.test("policy test says for each URL what is decided, where and by which rule", async () => {
  using here = new Temporary();
  const file = here.file("net.yaml", POLICY);
  const test = (...args: string[]): ReturnType<typeof cli> => cli(["policy", "test", file, ...args]);
  const allowed = await test("https://api.example.com/v1", "tcp://10.1.2.3:5432");
  equal(allowed.code, 0);
  match(
    allowed.stdout,
    /^allow {2}https:\/\/api\.example\.com\/v1 {2}allow\[0\] at connection: the rule allows/,
  );
  const denied = await test("https://api.example.com", "http://169.254.169.254/", "https://2130706433/");
  equal(denied.code, 1);
  deepEqual(denied.stdout.split("\n").map((line) => line.split(" at ")[0]), [
    "allow  https://api.example.com  allow[0]",
    "deny   http://169.254.169.254/  builtin:metadata",
    "deny   https://2130706433/  builtin:name",
    "",
  ]);
  const url = "https://git.example.com/repos/a";
  const get = await test("--header", "X-Team: blue-1", "--format", "json", url);
  const [trial] = JSON.parse(get.stdout).trials;
  deepEqual([trial.url, trial.verdict, trial.rule, trial.decidedAt, trial.inspect], [
    url,
    "allow",
    "git",
    "request",
    true,
  ]);
  equal((await test("--header", "X-Team: blue-1", "--method", "POST", url)).code, 1);
  equal((await test(url)).code, 1);
  const rebound = await test("--address", "127.0.0.1", "https://api.example.com");
  match(rebound.stdout, /builtin:loopback at address/);
  const wrong = await test("api.example.com");
  equal(wrong.code, 1);
  match(wrong.stderr, /Cannot try "api.example.com": write http:/);
});
