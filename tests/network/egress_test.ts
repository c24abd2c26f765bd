import { deepEqual, ok } from "node:assert/strict";
import { containerTest } from "../helpers/container_test.ts";
import { type Attempt, policyOf, ProxyWorld, rule, type Seen } from "../helpers/proxy_world.ts";
import { type Probe, probes } from "./egress_attacks.ts";

/** What is allowed: everything else is an attack. */
const POLICY = policyOf([
  rule("web", "allowed.test"),
  rule("tls", "allowed.test", { port: 443 }),
  rule("opened", "inspected.test", { port: 443, inspect: true }),
  rule("part", "also.test", { methods: ["GET"], paths: ["/public/**"] }),
  ...["metadata.test", "private.test", "mixed.test", "mapped.test", "nat64.test", "multicast.test"].map((
    name,
  ) => rule(name, name)),
  ...["loopback.test", "rebinding.test"].map((name) => rule(name, name)),
], {
  secrets: { detectors: ["aws", "github", "private-key"], patterns: {} },
  credentials: [{
    id: "token",
    placeholder: "placeholder-1",
    env: undefined,
    from: { env: "NONE" },
    hosts: ["inspected.test"],
    headers: ["authorization"],
  }],
});
const LATER_MS = 700;

/** Attempts that count bytes of a name are alone: what one has asked for opens the way of another. */
function isArrived(probe: Probe, seen: readonly Seen[]): boolean {
  return seen.some((each) => probe.arrives!.test(JSON.stringify(each)));
}

containerTest(
  "no way out of a policy gets through, each is recorded, and each works where nothing defends",
  async () => {
    await using world = await ProxyWorld.create(POLICY, { token: "the-real-secret" });
    const all = probes();
    ok(all.length >= 60, `${all.length} attacks`);
    const [wrong, seenBefore]: [string[], number] = [[], world.seen().length];
    const answers = await world.attempt(all.map(({ attempt }): Attempt => attempt));
    await new Promise((resolve) => setTimeout(resolve, LATER_MS));
    const seen = world.seen().slice(seenBefore);
    const denied = world.audit().filter(({ verdict }) => verdict === "deny").map((entry) =>
      JSON.stringify(entry)
    );
    for (const [index, probe] of all.entries()) {
      if (isArrived(probe, seen)) wrong.push(`${probe.name}: it got through: ${answers[index]}`);
      if (!denied.some((line) => probe.recorded.test(line))) {
        wrong.push(
          `${probe.name}: it is not recorded: ${answers[index]}`,
        );
      }
    }
    const text = denied.join("\n");
    for (const secret of ["the-real-secret", "AKIAIOSFODNN7EXAMPLE", "a1B2a1B2"]) {
      ok(
        !text.includes(secret),
        secret,
      );
    }

    // The same from the machine itself, which nothing keeps in.
    const before = world.seen().length;
    await world.attempt(all.map(({ attempt }) => attempt), world.host);
    await new Promise((resolve) => setTimeout(resolve, LATER_MS));
    const open = world.seen().slice(before);
    for (const probe of all) {
      if (probe.noControl === undefined && !isArrived(probe, open)) {
        wrong.push(
          `${probe.name}: it does nothing where nothing defends`,
        );
      }
    }
    deepEqual(wrong, []);
  },
);
