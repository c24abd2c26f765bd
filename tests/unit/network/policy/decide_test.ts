import { deepEqual, equal, ok } from "node:assert/strict";
import {
  decideConnection,
  decideName,
  decideRequest,
  type HttpRequest,
  permittedAddresses,
  pinsOf,
  staticPins,
} from "../../../../network/policy/decide.ts";
import type { NetworkPolicy, NetworkRule, Verdict } from "../../../../network/policy/policy.ts";
import { policyOf, type RuleLike } from "./rules.ts";

const by = ({ verdict, rule }: Verdict): string => `${verdict} by ${rule}`;
const ports = (first: number, last = first): { ports: { first: number; last: number }[] } => ({
  ports: [{ first, last }],
});
const at = "192.0.2.1";

function requested(policy: NetworkPolicy, request: Partial<HttpRequest>): string {
  const usual = {
    scheme: "http",
    name: "a.example",
    port: 80,
    method: "GET",
    path: "/",
    headers: [],
  } as const;
  return by(decideRequest(policy, { ...usual, ...request }));
}

Deno.test("decideName() asks the rules that deny before those that allow, and refuses by default", () => {
  const policy = policyOf([{ to: "a.example" }, { to: "*.b.example" }], [{ to: "x.b.example" }]);
  const cases: Record<string, string> = {
    "a.example": "allow by allow[0]",
    "A.Example.": "allow by allow[0]",
    "below.a.example": "deny by default",
    "b.example": "deny by default",
    "one.b.example": "allow by allow[1]",
    "two.one.b.example": "allow by allow[1]",
    "notb.example": "deny by default",
    "x.b.example": "deny by deny[0]",
    "127.0.0.1": "deny by builtin:name",
    "a.example\0.b.example": "deny by builtin:name",
  };
  for (const [name, expected] of Object.entries(cases)) equal(by(decideName(policy, name)), expected, name);
  equal(by(decideName(policyOf([]), "a.example")), "deny by default");
  equal(by(decideName(policyOf([{ to: "0.0.0.0/0" }]), "a.example")), "deny by default");
  equal(
    by(decideName(policyOf([{ to: "a.example" }], [{ to: "*", ...ports(25) }]), "a.example")),
    "allow by allow[0]",
  );
});

Deno.test("permittedAddresses() refuses special ranges unless a rule names them, not only covers them", () => {
  const policy = policyOf([{ to: "*" }, { to: "0.0.0.0/0" }, { to: "10.1.0.0/16" }, {
    to: "169.254.0.0/16",
  }]);
  const all = [
    at,
    at,
    "10.1.2.3",
    "10.2.2.3",
    "169.254.1.1",
    "169.254.169.254",
    "::ffff:127.0.0.1",
    "0177.0.0.1",
  ];
  const { pinned, refused } = permittedAddresses(policy, "a.example", all);
  deepEqual(pinned, [at, "10.1.2.3", "169.254.1.1"]);
  deepEqual(refused.map(({ address, rule }) => `${address} ${rule}`), [
    "10.2.2.3 builtin:private",
    "169.254.169.254 builtin:metadata",
    "::ffff:127.0.0.1 builtin:loopback",
    "0177.0.0.1 builtin:address",
  ]);
  const denied = policyOf([{ to: "*" }], [{ to: "192.0.2.0/24" }]);
  deepEqual(permittedAddresses(denied, "a.example", [at]).refused.map(by), ["deny by deny[0]"]);
});

Deno.test("decideConnection() allows a special address only on the ports of the rule that names it", () => {
  const policy = policyOf([{ to: "*" }, { to: "10.0.0.0/8", ...ports(5432), protocols: ["tcp"] }]);
  const connect = (port: number, protocol: "tcp" | "https" | "udp"): string =>
    by(decideConnection(policy, { names: ["db.example"], address: "10.0.0.1", port, protocol }));
  equal(connect(5432, "tcp"), "allow by allow[1]");
  equal(connect(443, "https"), "deny by builtin:private");
  equal(connect(5432, "udp"), "deny by builtin:private");
});

Deno.test("decideConnection() takes the name in TLS for what the connection is for", () => {
  const policy = policyOf([{ to: "a.example" }, { to: "b.example", ...ports(8443) }]);
  const connect = (serverName: string | null, names = ["a.example", "b.example"]): string =>
    by(decideConnection(policy, { names, address: at, port: 443, protocol: "https", serverName }));
  equal(connect("a.example"), "allow by allow[0]");
  equal(connect("b.example"), "deny by default");
  equal(connect("c.example"), "deny by builtin:server-name");
  equal(connect("a.example", ["b.example"]), "deny by builtin:server-name");
  equal(connect(null), "deny by default");
});

Deno.test("decideConnection() opens TLS where a rule says so, and refuses what it would have to open", () => {
  const open = policyOf([{ to: "a.example" }, { to: "a.example", inspect: true, methods: ["GET"] }]);
  const closed = policyOf([{ to: "a.example", methods: ["GET"] }]);
  const partly = policyOf([{ to: "a.example" }], [{ to: "a.example", paths: ["/admin/**"] }]);
  const tls = { names: ["a.example"], address: at, port: 443, protocol: "https" } as const;
  const opened = decideConnection(open, tls);
  equal(by(opened), "allow by allow[1]");
  ok(opened.inspect);
  equal(by(decideConnection(closed, tls)), "deny by default");
  equal(by(decideConnection(closed, { ...tls, port: 80, protocol: "http" })), "allow by allow[0]");
  equal(by(decideConnection(partly, tls)), "deny by deny[0]");
  equal(by(decideConnection(partly, { ...tls, protocol: "http" })), "allow by allow[0]");
});

Deno.test("decideConnection() denies TCP that could be what is denied", () => {
  const policy = policyOf([{ to: "a.example", protocols: ["tcp"] }], [{
    to: "a.example",
    protocols: ["http"],
  }]);
  const connect = (protocol: "tcp" | "http" | "https" | "udp"): string =>
    by(decideConnection(policy, { names: ["a.example"], address: at, port: 80, protocol }));
  deepEqual(["tcp", "http", "https", "udp"].map((each) => connect(each as "tcp")), [
    "deny by deny[0]",
    "deny by deny[0]",
    "allow by allow[0]",
    "deny by default",
  ]);
});

Deno.test("decideRequest() looks at method, path and headers", () => {
  const policy = policyOf([
    { to: "a.example", methods: ["GET"], paths: ["/v1/*", "/files/**"], headers: { "x-team": "blue-*" } },
  ], [{ to: "a.example", paths: ["/v1/secret*"] }]);
  const headers = [["X-Team", "blue-1"]] as const;
  const cases: [Partial<HttpRequest>, string][] = [
    [{ path: "/v1/a", headers }, "allow by allow[0]"],
    [{ path: "/v1/a?to=../b", headers }, "allow by allow[0]"],
    [{ path: "/v1/%61", headers }, "allow by allow[0]"],
    [{ path: "/files/a/b/c", headers }, "allow by allow[0]"],
    [{ path: "/v1/a/b", headers }, "deny by default"],
    [{ path: "/v1/secret", headers }, "deny by deny[0]"],
    [{ path: "/v1/%73ecret", headers }, "deny by deny[0]"],
    [{ path: "/v1/x/../secret", headers }, "deny by deny[0]"],
    [{ path: "/files//a", headers }, "deny by deny[0]"],
    [{ path: "/v1/a" }, "deny by default"],
    [{ path: "/v1/a", headers: [...headers, ["x-team", "red"]] }, "deny by default"],
    [{ path: "/v1/a", headers, method: "get" }, "deny by default"],
    [{ path: "/v1/a", headers, method: "GET " }, "deny by builtin:method"],
    [{ path: "/v1/a", headers, name: "b.example" }, "deny by default"],
  ];
  for (const [request, expected] of cases) {
    equal(requested(policy, request), expected, JSON.stringify(request));
  }
});

Deno.test("decideRequest() refuses a host that the connection was not opened for", () => {
  const policy = policyOf([{ to: "a.example" }, { to: "b.example" }, { to: "198.51.100.0/24" }]);
  equal(requested(policy, { names: ["a.example"], address: at }), "allow by allow[0]");
  equal(requested(policy, { names: ["b.example"], address: at }), "deny by builtin:host");
  equal(requested(policy, { name: "198.51.100.1", names: [], address: "198.51.100.1" }), "allow by allow[2]");
  equal(
    requested(policy, { name: "198.51.100.2", names: [], address: "198.51.100.1" }),
    "deny by builtin:host",
  );
  equal(requested(policy, { name: "c.example", names: [], address: "198.51.100.1" }), "deny by builtin:host");
  equal(requested(policy, { name: "c.example", address: "198.51.100.1" }), "deny by default");
  equal(requested(policy, { name: "3325256705" }), "deny by builtin:name");
});

Deno.test("pinsOf() leaves out what rules deny and what is special", () => {
  const policy = policyOf([
    { to: "a.example", ...ports(1000, 2000), protocols: ["tcp", "udp"] },
    { to: "10.0.0.0/8", ...ports(1500), protocols: ["udp"] },
  ], [{ to: "a.example", ...ports(1100, 1999), protocols: ["udp"] }, { to: "192.0.2.9", ...ports(2000) }]);
  const pins = (address?: string): string[] =>
    pinsOf(policy, "a.example", address).map(({ transport, first, last }) => `${transport} ${first}-${last}`);
  deepEqual(pins(), ["tcp 1000-2000", "udp 1000-1099", "udp 2000-2000"]);
  deepEqual(pins("192.0.2.9"), ["tcp 1000-1999", "udp 1000-1099"]);
  deepEqual(pins("10.0.0.1"), []);
  deepEqual(pinsOf(policy, "b.example"), []);
});

Deno.test("staticPins() cuts out what the block does not name and what rules deny", () => {
  const pins = (policy: NetworkPolicy): string[] =>
    staticPins(policy).map(({ transport, cidr, first, last }) => `${transport} ${cidr} ${first}-${last}`);
  deepEqual(pins(policyOf([{ to: "169.254.169.252/30", ...ports(53), protocols: ["udp"] }])), [
    "udp 169.254.169.252/31 53-53",
    "udp 169.254.169.255/32 53-53",
  ]);
  deepEqual(pins(policyOf([{ to: "192.0.2.0/30", ...ports(1, 9) }], [{ to: "192.0.2.0/31", ...ports(5) }])), [
    "tcp 192.0.2.0/30 1-4",
    "tcp 192.0.2.0/30 6-9",
    "tcp 192.0.2.2/31 5-5",
  ]);
  const mixed = policyOf([{ to: "10.0.0.0/8", ...ports(1) }, { to: "64:ff9b::a00:1", ...ports(1) }]);
  deepEqual(pins(mixed), ["tcp 10.0.0.0/8 1-1"]);
  ok(!pins(policyOf([{ to: "0.0.0.0/0" }])).some((pin) => pin.includes(" 10.") || pin.includes(" 127.")));
});

Deno.test("decideRequest() lets a request go over to WebSocket where nothing would be looked at, or a rule says so", () => {
  const over = { isWebSocket: true };
  const refused = "deny by builtin:upgrade";
  const policy = (rule: Partial<NetworkRule>, more: Partial<NetworkPolicy> = {}, deny: RuleLike[] = []) => ({
    ...policyOf([{ to: "a.example", ...rule }], deny),
    ...more,
  });
  const secrets = { detectors: ["aws"], patterns: {} };
  equal(requested(policy({}), over), "allow by allow[0]");
  equal(requested(policy({ websocket: false }), over), refused);
  equal(requested(policy({ websocket: false }), {}), "allow by allow[0]");
  for (
    const narrow of [{ methods: ["GET"] }, { paths: ["/**"] }, { headers: { x: "*" } }, { inspect: true }]
  ) {
    const request = { ...over, headers: [["x", "y"]] as const };
    equal(requested(policy(narrow), request), refused);
    equal(requested(policy({ ...narrow, websocket: true }), request), "allow by allow[0]");
  }
  equal(requested(policy({}, { secrets }), over), refused);
  equal(requested(policy({ websocket: true }, { secrets }), over), "allow by allow[0]");
  equal(requested(policy({}, {}, [{ to: "a.example", paths: ["/secret"] }]), over), refused);
  equal(requested(policy({}, {}, [{ to: "b.example" }]), over), "allow by allow[0]");
  const second = policyOf([{ to: "a.example", methods: ["GET"] }, { to: "*.example", websocket: true }]);
  equal(requested(second, over), "allow by allow[1]");
  equal(requested(second, { ...over, name: "b.test" }), "deny by default");
});
