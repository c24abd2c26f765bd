import { deepEqual, equal, match, ok } from "node:assert/strict";
import { containerTest } from "../helpers/container_test.ts";
import { eventually } from "../helpers/eventually.ts";
import { CREDENTIAL, policyOf, ProxyWorld, rule } from "../helpers/proxy_world.ts";

const get = (host: string, path = "/"): string => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;

containerTest("the proxy lets through what a policy allows, by names, TLS, opened TLS and TCP", async () => {
  await using world = await ProxyWorld.create(policyOf([
    rule("web", "allowed.test"),
    rule("tls", "allowed.test", { port: 443 }),
    rule("opened", "inspected.test", { port: 443, inspect: true }),
    rule("raw", "raw.test", { port: 22, protocols: ["tcp"] }),
  ]));
  const allowed = { resolve: ["allowed.test"], expect: "hello" };
  const opened = { resolve: ["inspected.test"], to: ["192.0.2.2", 443], expect: "hello" };
  const own = { sni: "inspected.test", ca: `${world.path}/box-ca.pem` };
  const answers = await world.attempt([
    { dns: { name: "allowed.test" }, patient: true },
    { dns: { name: "allowed.test", type: 28, tcp: true }, patient: true },
    { dns: { name: "denied.test" }, patient: true },
    { ...allowed, to: ["192.0.2.2", 80], send: [get("allowed.test")] },
    { ...allowed, to: ["192.0.2.2", 80], send: [get("denied.test")], expect: "Refused" },
    {
      ...allowed,
      to: ["192.0.2.2", 443],
      tls: { sni: "allowed.test", ca: world.authority },
      send: [get("allowed.test")],
    },
    { ...opened, tls: own, send: [get("inspected.test")] },
    { ...opened, tls: own, send: [get("allowed.test")], expect: "Refused" },
    { resolve: ["raw.test"], to: ["192.0.2.2", 22], send: ["SSH-2.0"], expect: "hello" },
  ]);
  const good = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";
  deepEqual(answers.slice(0, 4), ["rcode 0 192.0.2.2", "rcode 0 2001:db8::2", "rcode 3 ", good]);
  match(answers[4]!, /^HTTP\/1\.1 403 Forbidden\r\n[^]*Connection: close\r\n\r\nRefused by builtin:host: /);
  deepEqual(answers.slice(5, 7), [good, good]);
  match(answers[7]!, /^HTTP\/1\.1 403 Forbidden\r\n[^]*Refused by builtin:host: /);
  deepEqual(answers.slice(8), ["hello SSH-2.0"]);
  const asked = world.seen().filter(({ kind }) => kind === "dns").map(({ data }) => data);
  ok(!asked.includes("denied.test"));
  // What is known of a request only when it is over is written down after that.
  const requests = await eventually(
    () => world.audit().filter(({ kind }) => kind === "request"),
    ({ length }) => length >= 4,
  );
  equal(requests.filter(({ verdict, status }) => verdict === "allow" && status === 200).length, 2);
  equal(requests.filter(({ verdict, rule }) => verdict === "deny" && rule === "builtin:host").length, 2);
});

containerTest("the proxy passes nothing while it cannot write down what passes", async () => {
  await using world = await ProxyWorld.create(
    policyOf([rule("web", "allowed.test"), rule("raw", "raw.test", { port: 22, protocols: ["tcp"] })]),
  );
  const attempts = [
    { dns: { name: "allowed.test" } },
    { to: ["192.0.2.2", 80], send: [get("allowed.test")], expect: "hello" },
    { to: ["192.0.2.2", 22], send: ["SSH-2.0"], expect: "hello" },
  ];
  await world.attempt([
    { dns: { name: "allowed.test" }, patient: true },
    { dns: { name: "raw.test" }, patient: true },
  ]);
  await world.control({ do: "audit", broken: true });
  const before = world.seen().length;
  const [name] = await world.attempt([attempts[0]!]);
  match(name!, /^!/);
  for (const answer of await world.attempt(attempts.slice(1))) ok(!answer.includes("hello"), answer);
  equal(world.seen().filter(({ data }) => data?.includes("hello")).length, 0);
  equal(world.seen().length, before);
  await world.control({ do: "audit", broken: false });
  const [, web, raw] = await world.attempt(attempts);
  match(web!, /hello/);
  match(raw!, /hello/);
});

containerTest("update of a policy holds from then on, for connections that are open, too", async () => {
  const web = rule("web", "allowed.test");
  const raw = rule("raw", "raw.test", { port: 22, protocols: ["tcp"] });
  await using world = await ProxyWorld.create(policyOf([web, raw]));
  await world.attempt([
    { dns: { name: "allowed.test" }, patient: true },
    { dns: { name: "raw.test" }, patient: true },
  ]);

  const meeting = [world.meeting(), world.meeting()] as const;
  const answered = { until: "hello" };
  const pending = world.attempt([
    // Two requests on one connection, and two pieces on another, with the update in between.
    {
      to: ["192.0.2.2", 80],
      send: [get("allowed.test", "/one"), answered, meeting[0].piece, get("allowed.test", "/two")],
    },
    { to: ["192.0.2.2", 22], send: ["one", answered, meeting[1].piece, "two"] },
  ]);
  for (const { begun } of meeting) await begun();
  deepEqual(await world.control({ do: "update", id: "box", policy: policyOf([]) }), { ok: true });
  for (const { end } of meeting) end();
  const [http, tcp] = await pending;
  match(http!, /hello\n[^]*403 Forbidden/);
  ok(!tcp!.includes("two"), tcp!);
  ok(!world.seen().some(({ data }) => data?.includes("two")));
  const [name, direct] = await world.attempt([
    { dns: { name: "allowed.test" } },
    { to: ["192.0.2.2", 80], send: [get("allowed.test")] },
  ]);
  equal(name, "rcode 3 ");
  match(direct!, /^!/);
});

containerTest(
  "a credential is put in for its host, and the sandbox never sees it, not even in the answer",
  async () => {
    await using world = await ProxyWorld.create(
      policyOf([rule("opened", "inspected.test", { port: 443, inspect: true })], {
        credentials: [CREDENTIAL],
      }),
      { token: "the-real-secret" },
    );
    const head = "HTTP/1.1\r\nHost: inspected.test\r\nAuthorization: Bearer placeholder-1\r\n\r\n";
    const [answer, early] = await world.attempt(["/echo", "/early"].map((path) => ({
      resolve: ["inspected.test"],
      to: ["192.0.2.2", 443],
      tls: { sni: "inspected.test", ca: `${world.path}/box-ca.pem` },
      send: [`GET ${path} ${head}`],
    })));
    ok(world.seen().some(({ data }) => data?.includes("authorization: Bearer the-real-secret")));
    match(answer!, /x-echo: Bearer placeholder-1\r\n[^]*authorization: Bearer placeholder-1/);
    match(early!, / 103 [^]*x-echo: Bearer placeholder-1\r\n[^]* 200 Bearer placeholder-1\r\n/);
    ok(![answer, early].some((each) => each!.includes("the-real-secret")));
    ok(!JSON.stringify(world.audit()).includes("the-real-secret"));
  },
);
