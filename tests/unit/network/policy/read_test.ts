import { deepEqual, equal, match, rejects, throws } from "node:assert/strict";
import { SpecError, UsageError } from "../../../../runtime/errors.ts";
import {
  annotatedPolicy,
  decodeNetworkPolicy,
  NOTHING_ALLOWED,
  parseNetworkPolicy,
  withAllowed,
} from "../../../../network/policy/read.ts";
import type { NetworkPolicy } from "../../../../network/policy/policy.ts";

const read = (text: string): Promise<NetworkPolicy> => parseNetworkPolicy(text, "net.yaml");

/** The ways of the rules of a policy: where to, which ports, which protocols. */
function ways({ allow, deny }: NetworkPolicy): string[] {
  return [...allow, ...deny].map(({ id, destination: to, ports, protocols }) => {
    const where = to.kind === "addresses" ? to.cidr : to.kind === "below" ? `*.${to.name}` : to.name;
    const some = ports.map(({ first, last }) => first === last ? first : `${first}-${last}`);
    return `${id} ${where} ${some.join(",")} ${protocols.join(",")}`;
  });
}

async function problems(text: string): Promise<string[]> {
  try {
    await read(text);
    return [];
  } catch (error) {
    if (!(error instanceof SpecError)) throw error;
    return error.issues.map(({ pointer, message }) => `${pointer} ${message}`);
  }
}

Deno.test("parseNetworkPolicy() takes [] for nothing and an array for what is allowed", async () => {
  deepEqual(await read("[]"), NOTHING_ALLOWED);
  deepEqual(await read("{}"), NOTHING_ALLOWED);
  deepEqual(ways(await read("[a.example, '*.b.example:8443', '192.0.2.0/24:53/udp', 'c.example/https']")), [
    "allow[0] a.example 443,80 https,http",
    "allow[1] *.b.example 8443 tcp",
    "allow[2] 192.0.2.0/24 53 udp",
    "allow[3] c.example 443 https",
  ]);
});

Deno.test("parseNetworkPolicy() reads every property, in YAML and JSON alike", async () => {
  const yaml = `
allow:
  - id: api
    host: API.Example.com.
    ports: [443, "8000-8010"]
    protocols: [https]
    methods: [GET, POST]
    paths: ["/v1/**"]
    headers: { X-Team: "blue-*" }
    inspect: true
  - cidr: 10.0.0.0/8
    ports: [5432]
deny:
  - host: "*.evil.example"
  - { host: api.example.com, paths: ["/v1/admin/**"] }
credentials:
  - { id: api, env: API_KEY, from: { env: REAL_KEY }, hosts: [api.example.com] }
secrets: { detectors: [aws], patterns: { own: "corp-[0-9]{8}" } }
limits: { connections: 10, uploadBytes: 10MB, downloadBytesPerSecond: 1 MiB }
nameServers: [192.0.2.53, "192.0.2.54:5353", "[2001:db8::53]:53", "2001:db8::54"]
`;
  const policy = await read(yaml);
  const { parse } = await import("@std/yaml/parse");
  deepEqual(await read(JSON.stringify(parse(yaml), null, "\t")), policy);
  deepEqual(ways(policy), [
    "api api.example.com 443,8000-8010 https",
    "allow[1] 10.0.0.0/8 5432 tcp",
    "deny[0] *.evil.example 1-65535 http,https,tcp,udp",
    "deny[1] api.example.com 1-65535 http,https",
  ]);
  const [rule] = policy.allow;
  deepEqual({ ...rule!.headers }, { "x-team": "blue-*" });
  deepEqual([rule!.methods, rule!.paths, rule!.inspect], [["GET", "POST"], ["/v1/**"], true]);
  deepEqual(policy.credentials, [{
    id: "api",
    placeholder: "ai-sandbox-credential-api",
    env: "API_KEY",
    from: { env: "REAL_KEY" },
    hosts: ["api.example.com"],
    headers: ["authorization"],
  }]);
  deepEqual(policy.limits, { connections: 10, uploadBytes: 10_000_000, downloadBytesPerSecond: 1_048_576 });
  deepEqual(policy.nameServers, ["192.0.2.53", "192.0.2.54:5353", "[2001:db8::53]:53", "2001:db8::54"]);
});

const WRONG: readonly (readonly [text: string, problem: RegExp])[] = [
  ["7", /^ Cannot use 7: an object is needed/],
  ["alow: []", /^\/alow Cannot use "alow": there is no such property/],
  ["allow: a.example", /^\/allow Cannot use "a.example": an array/],
  ["- host: 10.0.0.1", /^\/0\/host .*ends in a number/],
  ["- 443", /^\/0 Cannot use 443: an object/],
  ["- { host: a.example, port: 443 }", /^\/0\/port Cannot use "port"/],
  ["- { host: a.example, ports: [0] }", /^\/0\/ports\/0 Cannot use "0": a port from 1/],
  ["- { host: a.example, ports: ['9-1'] }", /^\/0\/ports\/0 /],
  ["- { host: a.example, ports: [] }", /^\/0\/ports Cannot use an empty list/],
  ["- { host: a.example, methods: [] }", /^\/0\/methods Cannot use an empty list/],
  ["- { host: a.example, methods: [get] }", /^\/0\/methods\/0 .*capital letters/],
  ["- { host: a.example, paths: [v1] }", /^\/0\/paths\/0 .*begins with/],
  ["- { host: a.example, paths: ['/a/../b'] }", /^\/0\/paths\/0 .*dot segments/],
  ["- { host: a.example, paths: ['/a%2fb'] }", /^\/0\/paths\/0 .*decoded/],
  ["- { host: a.example, paths: [/a], protocols: [tcp], ports: [80] }", /^\/0 Cannot look at methods/],
  ["- { host: a.example, protocols: [udp] }", /^\/0 .*no usual ports/],
  ["- { host: a.example, ports: [22, 443] }", /^\/0 .*name the protocols/],
  ["- { host: a.example, inspect: true, protocols: [http] }", /^\/0\/inspect Cannot inspect without https/],
  ["- { host: a.example, cidr: 192.0.2.1 }", /^\/0 .*not both/],
  ["- { ports: [443] }", /^\/0 .*is needed/],
  ["- { cidr: 192.0.2.1/24 }", /^\/0\/cidr .*other bits are zero/],
  ["- { cidr: '64:ff9b::/96' }", /^\/0\/cidr .*write the IPv4 addresses/],
  ["- { cidr: '::ffff:10.0.0.0/104' }", /^\/0\/cidr /],
  ["- { host: a.example, headers: { 'a b': x } }", /^\/0\/headers .*no name of a header/],
  ["- { host: a.example, headers: { A: x, a: y } }", /^\/0\/headers .*twice/],
  ["- { host: a.example, id: default }", /^\/0\/id /],
  ["- { host: a.example, id: 'builtin:x' }", /^\/0\/id /],
  ["- { host: a.example, id: x }\n- { host: b.example, id: x }", /the id "x" twice/],
  ["- 'a.example:99999'", /^\/0 Cannot use "a.example:99999": a port/],
  ["- 'a.example:443/ftp'", /^\/0 .*no protocol "ftp"/],
  ["- 'http://a.example/'", /^\/0 .*write host/],
  ["- '127.1'", /^\/0 .*ends in a number/],
  ["- '0x7f000001:80'", /^\/0 .*ends in a number/],
  ["- '*.*.example'", /^\/0 /],
  ["- 'a*.example'", /^\/0 /],
  ['- "a.example\\0.b.example"', /^\/0 .*NUL/],
  [
    "deny: [{ host: a.example, websocket: false }]",
    /^\/deny\/0\/websocket Cannot say this of what is denied/,
  ],
  [
    "- { host: a.example, protocols: [https], websocket: true }",
    /^\/0\/websocket .*it takes http or inspect/,
  ],
  ["deny: [{ host: a.example, inspect: true }]", /^\/deny\/0\/inspect Cannot inspect what is denied/],
  ["secrets: { detectors: [aws-key] }", /^\/secrets\/detectors\/0 .*one of aws, github/],
  ["secrets: { patterns: { x: '(a+)+' } }", /^\/secrets\/patterns\/x .*no upper bound/],
  ["secrets: { patterns: { x: '(' } }", /^\/secrets\/patterns\/x Cannot use "\("/],
  ["limits: { connections: 0 }", /^\/limits\/connections /],
  ["limits: { uploadBytes: 1XB }", /^\/limits\/uploadBytes .*a size/],
  ["nameServers: [ns.example]", /^\/nameServers\/0 .*an address/],
  [
    "credentials: [{ id: a, from: { env: X }, hosts: [a.example] }]",
    /no rule allows it with "inspect"/,
  ],
  ["credentials: [{ id: a, from: {}, hosts: ['*'] }]", /^\/credentials\/0\/from .*is needed, and not both/],
  ["allow: []\nallow: [a.example]", /^ Cannot read the text: .*duplicat/i],
  ['{ "deny": ["a.example"],\n "deny": [] }', /^ Cannot read the text: .*duplicat/i],
  ["allow: [", /^ Cannot read the text/],
  ["a: &a [*a]", /^ Cannot read/],
  [
    "a: &a [1,1,1,1,1,1,1,1]\n" +
    "bcdefg".split("").map((x, i) => `${x}: &${x} [${`*${"abcdef"[i]},`.repeat(9)}]`).join("\n"),
    /^ Cannot read the policy: it holds more than/,
  ],
  ["[".repeat(100_000), /^ Cannot read/],
  ["#".repeat(300_000), /^ Cannot read 300000 characters/],
];

for (const [text, problem] of WRONG) {
  Deno.test(`parseNetworkPolicy() refuses ${JSON.stringify(text.slice(0, 70))}`, async () => {
    const found = await problems(text);
    match(found[0] ?? "it was read", problem);
    equal(found.length > 50, false);
  });
}

Deno.test("parseNetworkPolicy() tells every problem at once", async () => {
  const found = await problems("- { host: 1.2.3.4 }\n- { host: a.example, methods: [x], ports: [0] }\n- 5");
  deepEqual(found.map((each) => each.split(" ")[0]), ["/0/host", "/1/ports/0", "/1/methods/0", "/2"]);
});

Deno.test("annotatedPolicy() reads the annotation, and points into it", async () => {
  equal(await annotatedPolicy({}, "config.json"), undefined);
  const annotations = (text: string): Record<string, string> => ({ "dev.ai-sandbox.network.policy": text });
  deepEqual(ways((await annotatedPolicy(annotations("[a.example]"), "config.json"))!), [
    "allow[0] a.example 443,80 https,http",
  ]);
  await rejects(
    annotatedPolicy(annotations("[1]"), "config.json"),
    /\/annotations\/dev.ai-sandbox.network.policy\/0: Cannot use 1/,
  );
});

Deno.test("withAllowed() adds what words say", () => {
  const words = [
    "github.com:22",
    "[2001:db8::1]:443",
    "2001:db8::/32",
    "192.0.2.1:80-90/tcp",
    "bücher.example",
  ];
  deepEqual(ways(withAllowed(NOTHING_ALLOWED, words)), [
    "--allow[0] github.com 22 tcp",
    "--allow[1] 2001:db8::1/128 443 https,http",
    "--allow[2] 2001:db8::/32 443,80 https,http",
    "--allow[3] 192.0.2.1/32 80-90 tcp",
    "--allow[4] xn--bcher-kva.example 443,80 https,http",
  ]);
  for (const word of ["", "a b", "a.example:", "a.example:x", "::1:443x", "10.0.0.1/8", "a.example//"]) {
    throws(
      () => withAllowed(NOTHING_ALLOWED, [word]),
      (error) => error instanceof UsageError && / for --allow: /.test(error.message),
      word,
    );
  }
});

Deno.test("decodeNetworkPolicy() takes what a program made", () => {
  deepEqual(ways(decodeNetworkPolicy(["a.example"], "network")), ["allow[0] a.example 443,80 https,http"]);
  throws(
    () => decodeNetworkPolicy({ allow: [{ host: "a.example", __proto__: null, x: 1 }] }, "network"),
    SpecError,
  );
});

Deno.test("decodeNetworkPolicy() takes a policy for what it is, also after JSON", async () => {
  const policy = withAllowed(
    await read(`
allow: [a.example, "*", { host: "*.b.example", id: mine, methods: [GET], headers: { x: y }, inspect: true }]
deny: [{ cidr: 192.0.2.0/24, ports: ["1-99"] }]
credentials: [{ id: c, from: { file: /etc/c }, hosts: [x.b.example] }]
limits: { connections: 5 }`),
    ["c.example:22"],
  );
  deepEqual(decodeNetworkPolicy(policy, "network"), policy);
  deepEqual(decodeNetworkPolicy(JSON.parse(JSON.stringify(policy)), "network"), policy);
  deepEqual(decodeNetworkPolicy(NOTHING_ALLOWED, "network"), NOTHING_ALLOWED);
  const bent = {
    ...policy,
    allow: [{ ...policy.allow[0]!, destination: { kind: "name", name: "10.0.0.1" } }],
  };
  throws(() => decodeNetworkPolicy(bent, "network"), /ends in a number/);
});
