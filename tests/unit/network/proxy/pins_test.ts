import { deepEqual } from "node:assert/strict";
import { decodeNetworkPolicy } from "../../../../network/policy/read.ts";
import { type PinFirewall, SandboxTraffic } from "../../../../network/proxy/sandbox.ts";

const POLICY = decodeNetworkPolicy({ allow: ["192.0.2.0/24", "a.test:80"] }, "policy");
const [OWN, OWN6, FOUND] = ["10.1.0.2", "fd00::2", "198.51.100.2"];

/** What a firewall is told, in order. */
function told(act: (traffic: SandboxTraffic) => void, wasThere = false): string[] {
  const calls: string[] = [];
  const called = (name: keyof PinFirewall) => (...args: unknown[]): void => {
    const text = args.map((each) =>
      typeof each === "string" ? each : (each as { address?: string }).address ?? "…"
    );
    calls.push(`${name} ${[...new Set(text)].join(" ")}`);
  };
  const names = ["pin", "unpin", "unpinAll", "repin"] as const;
  const firewall = Object.fromEntries(names.map((name) => [name, called(name)])) as unknown as PinFirewall;
  const sandbox = { id: "box", ipv4: OWN, ipv6: OWN6, policy: POLICY, audit: "/x", credentials: {} };
  const audit = { append: () => {}, [Symbol.dispose]: () => {} };
  using traffic = new SandboxTraffic(sandbox, audit, { firewall, nowMs: () => 0 }, [], wasThere);
  act(traffic);
  return calls;
}

for (
  const [name, act, wasThere, last] of [
    ["takes away what it has made, without a look at all there is", () => {}, false, [
      `unpin 192.0.2.0/24 ${FOUND}`,
    ]],
    ["looks where another proxy was before", () => {}, true, [`unpinAll ${OWN}`, `unpinAll ${OWN6}`]],
    [
      "looks when the policy was another meanwhile",
      (traffic: SandboxTraffic) => traffic.update(POLICY, []),
      false,
      ["repin …", `unpinAll ${OWN}`, `unpinAll ${OWN6}`],
    ],
  ] as const
) {
  Deno.test(`SandboxTraffic.unpin() ${name}`, () => {
    const calls = told((traffic) => {
      traffic.pinStatic();
      traffic.pin("a.test", [FOUND], 60);
      act(traffic);
      traffic.unpin();
    }, wasThere);
    deepEqual(calls, ["pin 192.0.2.0/24", `pin ${FOUND}`, ...last]);
  });
}

Deno.test("SandboxTraffic.pin() opens nothing for an answer that comes when the sandbox is gone", () => {
  const calls = told((traffic) => {
    traffic[Symbol.dispose]();
    traffic.pin("a.test", [FOUND], 60);
  });
  deepEqual(calls, []);
});
