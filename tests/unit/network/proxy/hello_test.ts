import { deepEqual, equal, throws } from "node:assert/strict";
import { clientHello } from "../../../../network/proxy/tls/hello.ts";
import { latin1 } from "../../../../network/proxy/http/write.ts";
import { Refusal } from "../../../../network/proxy/refusal.ts";

function uint(bytes: number, value: number): number[] {
  return Array.from({ length: bytes }, (_, index) => (value / 256 ** (bytes - 1 - index)) & 0xff);
}

function vector(lengthBytes: number, data: readonly number[]): number[] {
  return [...uint(lengthBytes, data.length), ...data];
}

function extension(type: number, data: readonly number[]): number[] {
  return [...uint(2, type), ...vector(2, data)];
}

function sni(name: string, type = 0): number[] {
  return extension(0, vector(2, [type, ...vector(2, [...latin1(name)])]));
}

const ALPN = extension(
  16,
  vector(2, [...vector(1, [...latin1("h2")]), ...vector(1, [...latin1("http/1.1")])]),
);

function hello(extensions: readonly number[], { type = 1, more = [] as number[] } = {}): number[] {
  const body = [
    3,
    3,
    ...Array(32).fill(7),
    ...vector(1, []),
    ...vector(2, [0x13, 1]),
    ...vector(1, [0]),
    ...vector(2, extensions),
    ...more,
  ];
  return [type, ...vector(3, body)];
}

function records(message: readonly number[], size = 16384): Uint8Array {
  const all: number[] = [];
  for (let at = 0; at < message.length; at += size) {
    all.push(22, 3, 1, ...vector(2, message.slice(at, at + size)));
  }
  return Uint8Array.from(all);
}

Deno.test("clientHello() tells the name and protocols, in one record or in many", () => {
  const message = hello([...ALPN, ...sni("A.test")]);
  for (const size of [1, 3, 50, 16384]) {
    deepEqual(clientHello(records(message, size)), { serverName: "a.test", protocols: ["h2", "http/1.1"] });
  }
});

Deno.test("clientHello() waits for the whole message", () => {
  const bytes = records(hello(sni("a.test")), 20);
  for (let cut = 0; cut < bytes.length; cut++) equal(clientHello(bytes.subarray(0, cut)), undefined);
});

const two = extension(
  0,
  vector(2, [0, ...vector(2, [...latin1("a.test")]), 0, ...vector(2, [...latin1("b.test")])]),
);
const REFUSED: readonly [rule: string, what: string, bytes: Uint8Array][] = [
  ["tls:no-sni", "no name", records(hello(ALPN))],
  ["tls:extension", "two extensions with names", records(hello([...sni("a.test"), ...sni("b.test")]))],
  ["tls:hello", "two names in one", records(hello(two))],
  ["tls:sni", "a name of another kind", records(hello(sni("a.test", 1)))],
  ["tls:sni", "a name with NUL", records(hello(sni("a.test\0.b.test")))],
  ["tls:sni", "a name with a dot at its end", records(hello(sni("a.test.")))],
  ["tls:sni", "a name in UTF-8", records(hello(sni("\xc3\xa4.test")))],
  ["tls:ech", "a hidden name", records(hello([...sni("a.test"), ...extension(0xfe0d, [0])]))],
  [
    "tls:ech",
    "a hidden name of the older kind",
    records(hello([...sni("a.test"), ...extension(0xffce, [0])])),
  ],
  ["tls:hello", "another message", records(hello(sni("a.test"), { type: 2 }))],
  ["tls:hello", "bytes behind the extensions", records(hello(sni("a.test"), { more: [0] }))],
  ["tls:hello", "a second message in the record", records([...hello(sni("a.test")), 1, 0, 0, 0])],
  ["tls:hello-bytes", "an endless message", records([1, 0xff, 0xff, 0xff, ...Array(100).fill(0)])],
  ["tls:record", "an alert", Uint8Array.from([21, 3, 1, 0, 2, 1, 0])],
  ["tls:record", "an empty record", Uint8Array.from([22, 3, 1, 0, 0])],
  ["tls:record", "SSL 2", Uint8Array.from([0x80, 0x2e, 1, 3, 1, 0])],
  ["tls:hello", "a vector that is too long", records([1, 0, 0, 38, 3, 3, ...Array(32).fill(7), 32, 0, 0, 0])],
];
for (const [rule, what, bytes] of REFUSED) {
  Deno.test(`clientHello() refuses ${what}`, () => {
    throws(() => clientHello(bytes), (error) => error instanceof Refusal && error.rule === rule);
  });
}
