import { deepEqual, equal, match } from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import type { ProxyStatus } from "../../network/proxy/control.ts";
import { containerTest } from "../helpers/container_test.ts";
import { policyOf, ProxyWorld, rule } from "../helpers/proxy_world.ts";

const SILENT = fromFileUrl(new URL("../helpers/silent_server.py", import.meta.url));
const [CLEAR, OPENED, UNREAD] = [9444, 9445, 9446];
/** More than two machines keep of a connection for each other. */
const MUCH_BYTES = 24 << 20;
const MOST_MS = 30_000;
const at = (port: number, protocol: "http" | "https"): Parameters<typeof rule>[2] => (
  { ports: [{ first: port, last: port }], protocols: [protocol], inspect: protocol === "https" }
);
const get = (host: string): string => `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`;

async function asked(until: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + MOST_MS; performance.now() < end && !await until();) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** How many connections of sandboxes the proxy has. */
async function connections(world: ProxyWorld): Promise<number | undefined> {
  const answer = await world.control({ do: "status" }) as { status?: ProxyStatus };
  return answer.status?.connections;
}

containerTest("connections to servers that never answer end with those who asked", async () => {
  await using world = await ProxyWorld.create(policyOf([
    rule("web", "allowed.test", at(CLEAR, "http")),
    rule("opened", "inspected.test", at(OPENED, "https")),
    rule("unread", "inspected.test", at(UNREAD, "https")),
  ]));
  const log = `${world.path}/silent.log`;
  const said = (): string[] => Deno.readTextFileSync(log).split("\n").filter((line) => line !== "").sort();
  const own = [`${world.path}/outside.pem`, `${world.path}/outside.key`];
  await world.startOutside(["python3", SILENT, log, ...own, `${CLEAR}`, `${OPENED}`, `tls:${UNREAD}`]);
  const inspected = {
    patient: true,
    resolve: ["inspected.test"],
    tls: { sni: "inspected.test", ca: `${world.path}/box-ca.pem` },
  };
  const post = `POST / HTTP/1.1\r\nHost: inspected.test:${UNREAD}\r\nContent-Length: ${MUCH_BYTES}\r\n\r\n`;
  const trying = world.attempt([
    {
      resolve: ["allowed.test"],
      patient: true,
      to: ["192.0.2.2", CLEAR],
      send: [get(`allowed.test:${CLEAR}`)],
    },
    { ...inspected, to: ["192.0.2.2", OPENED], send: [get(`inspected.test:${OPENED}`)] },
    { ...inspected, to: ["192.0.2.2", UNREAD], send: [post, "x".repeat(MUCH_BYTES)] },
  ]);
  const taken = [CLEAR, OPENED, UNREAD].map((port) => `taken ${port}`);
  await asked(() => said().length === taken.length);
  deepEqual(said(), taken);
  deepEqual(await world.control({ do: "remove", id: "box" }), { ok: true });
  await asked(() => said().length === 6);
  deepEqual(said(), [...taken.map((each) => each.replace("taken", "ended")), ...taken]);
  await asked(async () => await connections(world) === 0);
  equal(await connections(world), 0);
  await trying;
});

/** A request of HTTP/2 for `/`: what each begins with, no settings, and one stream. */
function get2(host: string, scheme: string): string {
  const header = (name: string, value: string): string => {
    return `\0${String.fromCharCode(name.length)}${name}${String.fromCharCode(value.length)}${value}`;
  };
  const headers = [[":method", "GET"], [":scheme", scheme], [":authority", host], [":path", "/"]] as const;
  const block = headers.map(([name, value]) => header(name, value)).join("");
  const [settings, one] = [
    "\0\0\0\x04\0\0\0\0\0",
    `\0\0${String.fromCharCode(block.length)}\x01\x05\0\0\0\x01`,
  ];
  return `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${settings}${one}${block}`;
}

containerTest("connections of HTTP/2 end with a client that closes them without a word", async () => {
  await using world = await ProxyWorld.create(policyOf([
    rule("web", "allowed.test"),
    rule("opened", "inspected.test", { port: 443, inspect: true }),
  ]));
  const tls = { sni: "inspected.test", ca: `${world.path}/box-ca.pem`, alpn: ["h2"] };
  const answers = await world.attempt([
    {
      resolve: ["allowed.test"],
      to: ["192.0.2.2", 80],
      send: [get2("allowed.test", "http")],
      expect: "hello",
    },
    {
      resolve: ["inspected.test"],
      to: ["192.0.2.2", 443],
      tls,
      send: [get2("inspected.test", "https")],
      expect: "hello",
    },
  ]);
  for (const answer of answers) match(answer, /hello/);
  await asked(async () => await connections(world) === 0);
  equal(await connections(world), 0);
});
