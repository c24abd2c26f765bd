import { deepEqual, ok } from "node:assert/strict";
import { containerTest } from "../helpers/container_test.ts";
import { type Attempt, CREDENTIAL, policyOf, ProxyWorld, rule, type Seen } from "../helpers/proxy_world.ts";
import { probes } from "./egress/attacks.ts";
import type { Probe } from "./egress/probe.ts";

/** What is allowed: everything else is an attack. */
const POLICY = policyOf([
  rule("web", "allowed.test"),
  rule("tls", "allowed.test", { port: 443 }),
  rule("opened", "inspected.test", { port: 443, inspect: true }),
  rule("part", "also.test", { methods: ["GET"], paths: ["/public/**"] }),
  rule("sockets", "second.test", { websocket: true }),
  ...["metadata.test", "private.test", "mixed.test", "mapped.test", "nat64.test", "multicast.test"].map((
    name,
  ) => rule(name, name)),
  ...["loopback.test", "rebinding.test"].map((name) => rule(name, name)),
], {
  secrets: { detectors: ["aws", "github", "private-key"], patterns: {} },
  credentials: [CREDENTIAL],
});
const LATER_MS = 700;
/** Far longer than anything takes on a busy machine. */
const MOST_MS = 30_000;

/** Waits as long as what must not come may take, and then until what must come is there. */
async function later(isThere: () => boolean): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, LATER_MS));
  for (const end = Date.now() + MOST_MS; !isThere() && Date.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

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
    const recorded = (): string[] =>
      world.audit().filter(({ verdict }) => verdict === "deny").map((entry) => JSON.stringify(entry));
    const isRecorded = (probe: Probe, lines: readonly string[]): boolean =>
      lines.some((line) => probe.recorded.test(line));
    await later(() => {
      const lines = recorded();
      return all.every((probe) => isRecorded(probe, lines));
    });
    const seen = world.seen().slice(seenBefore);
    const denied = recorded();
    for (const [index, probe] of all.entries()) {
      if (isArrived(probe, seen)) wrong.push(`${probe.name}: it got through: ${answers[index]}`);
      if (!isRecorded(probe, denied)) {
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
    const isMissing = (probe: Probe, seen: readonly Seen[]): boolean =>
      probe.noControl === undefined && !isArrived(probe, seen);
    await later(() => {
      const now = world.seen().slice(before);
      return !all.some((probe) => isMissing(probe, now));
    });
    const open = world.seen().slice(before);
    for (const probe of all) {
      if (isMissing(probe, open)) {
        wrong.push(
          `${probe.name}: it does nothing where nothing defends`,
        );
      }
    }
    deepEqual(wrong, []);
  },
);
