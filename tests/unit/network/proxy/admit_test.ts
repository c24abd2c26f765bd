import { equal, throws } from "node:assert/strict";
import { decodeNetworkPolicy } from "../../../../network/policy/read.ts";
import { admit } from "../../../../network/proxy/http/admit.ts";
import type { Place, Request } from "../../../../network/proxy/http/request.ts";
import { Refusal } from "../../../../network/proxy/refusal.ts";
import { type PinFirewall, SandboxTraffic } from "../../../../network/proxy/sandbox.ts";

const POLICY = decodeNetworkPolicy({ allow: ["a.test:80"] }, "policy");

function sandbox(): SandboxTraffic {
  const one = { id: "box", ipv4: "10.1.0.2", ipv6: undefined, policy: POLICY, audit: "/x", credentials: {} };
  const audit = { append: () => {}, [Symbol.dispose]: () => {} };
  const nothing = (): void => {};
  const firewall: PinFirewall = { pin: nothing, unpin: nothing, unpinAll: nothing, repin: nothing };
  return new SandboxTraffic(one, audit, { firewall, nowMs: () => 0 }, []);
}

const place: Place = {
  scheme: "http",
  address: "192.0.2.2",
  port: 80,
  names: () => ["a.test"],
  tlsName: undefined,
  touch: () => {},
  goesOver: () => {},
  ended: new AbortController().signal,
};

function request(host: string): Request {
  return {
    method: "GET",
    target: "/",
    path: "/",
    host,
    port: undefined,
    headers: [],
    framing: { kind: "none" },
    upgrade: undefined,
    minor: 1,
    early: 0,
    body: new ReadableStream(),
  };
}

function refuses(rule: string): (error: unknown) => boolean {
  return (error) => error instanceof Refusal && error.rule === rule;
}

Deno.test("admit() says by which rule a request goes, and refuses one for another host", () => {
  using traffic = sandbox();
  equal(admit(traffic, place, request("a.test")).filled.used.length, 0);
  throws(() => admit(traffic, place, request("b.test")), refuses("builtin:host"));
});

Deno.test("admit() lets a sandbox have no more than 1024 requests under way", () => {
  using traffic = sandbox();
  traffic.pending = 1023;
  admit(traffic, place, request("a.test"));
  traffic.pending = 1024;
  throws(() => admit(traffic, place, request("a.test")), refuses("limit:pending"));
});
