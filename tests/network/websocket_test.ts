import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { AuditEntry } from "../../network/audit/record.ts";
import { containerTest } from "../helpers/container_test.ts";
import { eventually } from "../helpers/eventually.ts";
import { type Attempt, policyOf, ProxyWorld, rule } from "../helpers/proxy_world.ts";

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
/** The answer to that key in RFC 6455. */
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const asking = (host: string, path: string, more = ""): string =>
  `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n` +
  `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n${more}\r\n`;
type Piece = string | { readonly until: string; readonly times?: number } | { readonly meet: string };
/** The pieces of an attempt go out 50 ms after one another: this many let the server answer first, as a rule. */
const AWHILE = Array<string>(6).fill("");
/** What comes after this goes out when the server has answered. */
const AGREED: Piece = { until: "welcome" };
const web = (send: readonly Piece[], more: Attempt = {}): Attempt => ({
  resolve: ["allowed.test"],
  to: ["192.0.2.2", 80],
  send,
  ...more,
});

containerTest("WebSocket goes through where a rule lets it, in TLS that is opened, too", async () => {
  await using world = await ProxyWorld.create(policyOf([
    rule("web", "allowed.test"),
    rule("opened", "inspected.test", { port: 443, inspect: true, methods: ["GET"], websocket: true }),
    rule("narrow", "also.test", { methods: ["GET"] }),
    rule("never", "second.test", { websocket: false }),
  ]));
  const own = { sni: "inspected.test", ca: `${world.path}/box-ca.pem` };
  const opened = { resolve: ["inspected.test"], to: ["192.0.2.2", 443], tls: own };
  const answers = await world.attempt([
    web([asking("allowed.test", "/ws"), AGREED, "one", { until: "echo:one" }, "two"], { expect: "echo:two" }),
    { ...opened, send: [asking("inspected.test", "/ws"), AGREED, "in TLS"], expect: "echo:in TLS" },
    web([asking("also.test", "/ws"), ...AWHILE, "narrow"], { resolve: ["also.test"] }),
    {
      resolve: ["second.test"],
      to: ["198.51.100.2", 80],
      send: [asking("second.test", "/ws"), ...AWHILE, "never"],
    },
  ]);
  const agreed =
    /^HTTP\/1\.1 101 Switching Protocols\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nwelcome/;
  match(answers[0]!, agreed);
  match(answers[0]!, /welcomeecho:oneecho:two$/);
  match(answers[1]!, agreed);
  match(answers[1]!, /welcomeecho:in TLS$/);
  for (const refused of answers.slice(2)) match(refused, /^HTTP\/1\.1 403 .*Refused by builtin:upgrade: /s);
  const arrived = world.seen().filter(({ kind }) => kind === "socket").map(({ data }) => data);
  deepEqual(arrived.sort(), ["in TLS", "one", "two"]);
  const isCounted = ({ rule, uploadBytes }: AuditEntry): boolean => rule === "web" && uploadBytes === 6;
  const records = await eventually(
    () => world.audit().filter(({ kind, status }) => kind === "request" && status === 101),
    (found) => found.some(isCounted), // written down when it is over
  );
  equal(records.filter(({ reason }) => reason === "it goes over to WebSocket").length, 2);
  ok(records.some(isCounted), JSON.stringify(records));
});

containerTest("WebSocket goes through only if both sides agree as they must", async () => {
  await using world = await ProxyWorld.create(policyOf([rule("web", "allowed.test")]));
  const asked = (path: string, more?: string): Attempt =>
    web([asking("allowed.test", path, more), ...AWHILE, "LEAK"]);
  const plain = "GET /ws HTTP/1.1\r\nHost: allowed.test\r\n";
  const attempts: Record<string, Attempt> = {
    "a wrong answer": asked("/ws-wrong"),
    "a protocol that was not asked for": asked("/ws-protocol"),
    "another protocol": asked("/101"),
    "101 that nobody asked for": web([
      "GET /101 HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
      ...AWHILE,
      "LEAK",
    ]),
    "WebSocket that nobody asked for": web([`${plain}\r\n`, ...AWHILE, "LEAK"]),
    "no key": web([`${plain}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`, ...AWHILE, "LEAK"]),
    "a second key": asked("/ws", `Sec-WebSocket-Key: ${KEY}\r\n`),
    "a body": asked("/ws", "Content-Length: 4\r\n"),
    "bytes before the answer": web([`${asking("allowed.test", "/ws")}LEAK`]),
    "another protocol in clear": web([
      `${plain}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`,
      ...AWHILE,
      "LEAK",
    ]),
  };
  const answers = await world.attempt(Object.values(attempts));
  for (const [index, what] of Object.keys(attempts).entries()) {
    match(answers[index]!, /^HTTP\/1\.1 (400|502) /, what);
    ok(!answers[index]!.includes("LEAK") && !answers[index]!.includes("HTTP/1.1 101"), what);
  }
  ok(!world.seen().some(({ data }) => data?.includes("LEAK")));
});

containerTest("a request that the server does not let go over to WebSocket is one like others", async () => {
  await using world = await ProxyWorld.create(policyOf([rule("web", "allowed.test")]));
  const [answer] = await world.attempt([
    web([
      asking("allowed.test", "/plain"),
      { until: "hello" },
      "GET /next HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
      { until: "hello", times: 2 },
      "GET /LEAK HTTP/1.1\r\nHost: denied.test\r\n\r\n",
    ]),
  ]);
  match(answer!, /^HTTP\/1\.1 200 OK\r\n[^]*hello\nHTTP\/1\.1 200 OK\r\n[^]*hello\nHTTP\/1\.1 403 /);
  ok(!world.seen().some(({ data }) => data?.includes("LEAK")));
  const { data } = world.seen().find(({ data }) => data?.includes("/plain"))!;
  match(data!, new RegExp(`sec-websocket-key: ${KEY}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n$`));
  ok(!data!.includes(ACCEPT));
});

containerTest("WebSocket is counted, and ends with a policy that does not allow it any more", async () => {
  const rules = [rule("web", "allowed.test")];
  await using world = await ProxyWorld.create(policyOf(rules, { limits: { uploadBytes: 2_000 } }));
  const [capped] = await world.attempt([
    web([asking("allowed.test", "/ws"), AGREED, "x".repeat(1_000), { until: "echo:x" }, "y".repeat(1_000)]),
  ]);
  ok(capped!.includes("x") && !capped!.includes("y"));
  const isCapped = ({ rule, verdict }: AuditEntry): boolean => rule === "limit:bytes" && verdict === "deny";
  ok((await eventually(() => world.audit(), (found) => found.some(isCapped))).some(isCapped));
  await world.control({ do: "update", id: "box", policy: policyOf(rules) });
  const meeting = world.meeting();
  const pending = world.attempt([
    web([asking("allowed.test", "/ws"), AGREED, "before", { until: "echo:before" }, meeting.piece, "after"]),
  ]);
  const arrived = (): unknown[] =>
    world.seen().filter(({ kind }) => kind === "socket").map(({ data }) => data);
  await meeting.begun();
  await world.control({
    do: "update",
    id: "box",
    policy: policyOf([rule("web", "allowed.test", { websocket: false })]),
  });
  meeting.end();
  await pending;
  ok(arrived().includes("before") && !arrived().includes("after"), JSON.stringify(arrived().slice(1)));
});
