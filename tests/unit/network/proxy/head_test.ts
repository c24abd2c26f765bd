import { deepEqual, equal, throws } from "node:assert/strict";
import { headEnd, requestHead, responseHead } from "../../../../network/proxy/http/head.ts";
import { headBytes, latin1 } from "../../../../network/proxy/http/write.ts";
import { Refusal } from "../../../../network/proxy/refusal.ts";

const HOST = "Host: a.test\r\n";

/** What cannot be read in one way only, with the rule that says so. */
const REFUSED: readonly [rule: string, head: string][] = [
  ["http:host", "GET / HTTP/1.1\r\n\r\n"],
  ["http:host", `GET / HTTP/1.1\r\n${HOST}Host: b.test\r\n\r\n`],
  ["http:host", `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`],
  ["http:host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"],
  ["http:host", "GET / HTTP/1.1\r\nHost: a.test.\r\n\r\n"],
  ["http:host", "GET / HTTP/1.1\r\nHost: a..test\r\n\r\n"],
  ["http:host", "GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n"],
  ["http:host", "GET / HTTP/1.1\r\nHost: a.test b.test\r\n\r\n"],
  ["http:host", "GET / HTTP/1.1\r\nHost: user@a.test\r\n\r\n"],
  ["http:host", "GET / HTTP/1.1\r\nHost: a.test/b\r\n\r\n"],
  ["http:host", "GET / HTTP/1.1\r\nHost: a.test:0\r\n\r\n"],
  ["http:host", "GET / HTTP/1.1\r\nHost: a.test:080\r\n\r\n"],
  ["http:host", "GET / HTTP/1.1\r\nHost: a.test:99999\r\n\r\n"],
  ["http:host", "GET / HTTP/1.1\r\nHost: a.test:\r\n\r\n"],
  ["http:host", "GET / HTTP/1.1\r\nHost: a%2etest\r\n\r\n"],
  ["http:host", "GET / HTTP/1.1\r\nHost: \xe4.test\r\n\r\n"],
  ["http:absolute-form", `GET http://b.test/ HTTP/1.1\r\n${HOST}\r\n`],
  ["http:absolute-form", `GET http://a.test@b.test/ HTTP/1.1\r\n${HOST}\r\n`],
  ["http:target", `GET ftp://a.test/ HTTP/1.1\r\n${HOST}\r\n`],
  ["http:target", `GET a.test HTTP/1.1\r\n${HOST}\r\n`],
  ["http:target", `GET * HTTP/1.1\r\n${HOST}\r\n`],
  ["http:target", `GET /\\b HTTP/1.1\r\n${HOST}\r\n`],
  ["http:target", `GET /#b HTTP/1.1\r\n${HOST}\r\n`],
  ["http:target", `GET /\xe4 HTTP/1.1\r\n${HOST}\r\n`],
  ["http:target-bytes", `GET /${"a".repeat(20000)} HTTP/1.1\r\n${HOST}\r\n`],
  ["http:connect", "CONNECT b.test:443 HTTP/1.1\r\nHost: b.test:443\r\n\r\n"],
  ["http:request-line", `GET  / HTTP/1.1\r\n${HOST}\r\n`],
  ["http:request-line", `GET /\r\n${HOST}\r\n`],
  ["http:request-line", `GET / a HTTP/1.1\r\n${HOST}\r\n`],
  ["http:request-line", `\r\nGET / HTTP/1.1\r\n${HOST}\r\n`],
  ["http:version", `GET / HTTP/2.0\r\n${HOST}\r\n`],
  ["http:version", `GET / HTTP/1.2\r\n${HOST}\r\n`],
  ["http:version", `GET / http/1.1\r\n${HOST}\r\n`],
  ["http:version", `PRI * HTTP/2.0\r\n\r\n`],
  ["http:method", `G@T / HTTP/1.1\r\n${HOST}\r\n`],
  ["http:method", `GET\t / HTTP/1.1\r\n${HOST}\r\n`],
  ["http:method", ` / HTTP/1.1\r\n${HOST}\r\n`],
  ["http:bare-lf", `GET / HTTP/1.1\n${HOST}\r\n`],
  ["http:bare-lf", "GET / HTTP/1.1\r\nHost: a.test\nX: b\r\n\r\n"],
  ["http:bare-cr", "GET / HTTP/1.1\r\nHost: a.test\rX: b\r\n\r\n"],
  ["http:control", "GET / HTTP/1.1\r\nHost: a.test\0.b.test\r\n\r\n"],
  ["http:control", `GET /\x01 HTTP/1.1\r\n${HOST}\r\n`],
  ["http:control", `GET / HTTP/1.1\r\n${HOST}X: a\x7f\r\n\r\n`],
  ["http:folded", `GET / HTTP/1.1\r\n${HOST} folded\r\n\r\n`],
  ["http:folded", `GET / HTTP/1.1\r\n${HOST}\tfolded\r\n\r\n`],
  ["http:header-name", `GET / HTTP/1.1\r\nHost : a.test\r\n\r\n`],
  ["http:header-name", `GET / HTTP/1.1\r\n${HOST}: a\r\n\r\n`],
  ["http:header-name", `GET / HTTP/1.1\r\n${HOST}no colon\r\n\r\n`],
  ["http:header-name", `GET / HTTP/1.1\r\n${HOST}Content_Length: 5\r\n\r\n`],
  ["http:header-name", `GET / HTTP/1.1\r\n${HOST}X(: 5\r\n\r\n`],
  ["http:connection", `GET / HTTP/1.1\r\n${HOST}Connection: close, authorization\r\n\r\n`],
  ["http:connection", `GET / HTTP/1.1\r\n${HOST}Connection: Host\r\n\r\n`],
  ["http:repeated", `GET / HTTP/1.1\r\n${HOST}Upgrade: a\r\nUpgrade: b\r\n\r\n`],
  ["http:framing", `POST / HTTP/1.1\r\n${HOST}Content-Length: 1\r\nContent-Length: 1\r\n\r\n`],
  ["http:framing", `POST / HTTP/1.1\r\n${HOST}Content-Length: 1, 1\r\n\r\n`],
  ["http:framing", `POST / HTTP/1.1\r\n${HOST}Content-Length: +1\r\n\r\n`],
  ["http:framing", `POST / HTTP/1.1\r\n${HOST}Content-Length: -1\r\n\r\n`],
  ["http:framing", `POST / HTTP/1.1\r\n${HOST}Content-Length: 0x1\r\n\r\n`],
  ["http:framing", `POST / HTTP/1.1\r\n${HOST}Content-Length:\r\n\r\n`],
  ["http:framing", `POST / HTTP/1.1\r\n${HOST}Content-Length: ${"9".repeat(16)}\r\n\r\n`],
  ["http:framing", `POST / HTTP/1.1\r\n${HOST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`],
  [
    "http:framing",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`,
  ],
  ["http:framing", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: identity\r\n\r\n`],
  ["http:framing", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n`],
  ["http:framing", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: xchunked\r\n\r\n`],
  ["http:framing", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked;a\r\n\r\n`],
  ["http:framing", `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`],
  ["http:headers", `GET / HTTP/1.1\r\n${HOST}${"A: b\r\n".repeat(128)}\r\n`],
  ["http:head-bytes", `GET / HTTP/1.1\r\n${HOST}A: ${"b".repeat(65536)}\r\n\r\n`],
  ["http:head", `GET / HTTP/1.1\r\n${HOST}\r\nX`],
];
for (const [index, [rule, head]] of REFUSED.entries()) {
  const shown = JSON.stringify(head.length > 90 ? `${head.slice(0, 90)}…` : head);
  Deno.test(`requestHead() refuses ${shown} (${index})`, () => {
    throws(() => requestHead(latin1(head)), (error) => error instanceof Refusal && error.rule === rule);
  });
}

Deno.test("requestHead() reads a request in the one way there is", () => {
  const text = "POST http://A.test:8080/p?q=1 HTTP/1.1\r\nhOST: \t a.test:8080 \r\nX-A:b \xe4\r\n" +
    "Content-Length: 007\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n";
  const head = requestHead(latin1(text));
  deepEqual(head, {
    method: "POST",
    target: "/p?q=1",
    path: "/p",
    minor: 1,
    host: "a.test",
    port: 8080,
    headers: [
      ["host", "a.test:8080"],
      ["x-a", "b \xe4"],
      ["content-length", "007"],
      ["connection", "keep-alive, Upgrade"],
      ["upgrade", "WebSocket"],
    ],
    framing: { kind: "length", bytes: 7 },
    keepAlive: true,
    upgrade: "websocket",
  });
});

Deno.test("requestHead() takes HTTP/1.0 for the last request, whatever it says", () => {
  const head = requestHead(latin1(`GET / HTTP/1.0\r\n${HOST}Connection: keep-alive\r\n\r\n`));
  equal(head.keepAlive, false);
  deepEqual(head.framing, { kind: "none" });
});

Deno.test("requestHead() reads addresses in Host", () => {
  equal(requestHead(latin1("GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n")).host, "[2001:db8::1]");
  equal(requestHead(latin1("GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n")).host, "192.0.2.1");
});

Deno.test("headBytes() leaves out what is about one connection", () => {
  const text = `GET /a HTTP/1.1\r\nTE: trailers\r\n${HOST}Keep-Alive: 5\r\nProxy-Authorization: x\r\n` +
    "Proxy-Connection: keep-alive\r\nX-B: c\r\nUpgrade: h2c\r\nConnection: TE, close\r\nTransfer-Encoding: chunked\r\n\r\n";
  const head = requestHead(latin1(text));
  const bytes = headBytes({
    line: "GET /a HTTP/1.1",
    host: "a.test",
    headers: head.headers,
    framing: head.framing,
  });
  equal(
    new TextDecoder().decode(bytes),
    `GET /a HTTP/1.1\r\n${HOST}x-b: c\r\nTransfer-Encoding: chunked\r\n\r\n`,
  );
});

Deno.test("headEnd() finds the empty line however the bytes come", () => {
  const bytes = latin1(`GET / HTTP/1.1\r\n${HOST}\r\nrest`);
  for (let cut = 0; cut <= bytes.length - 4; cut++) {
    const end = headEnd(bytes.subarray(0, cut));
    equal(end, cut === bytes.length - 4 ? cut : -1);
  }
  equal(headEnd(bytes, 20), bytes.length - 4);
  throws(() => headEnd(latin1("GET / HTTP/1.1\n\n")), Refusal);
});

/** Responses by the method they answer. */
const RESPONSES: readonly [method: string, head: string, framing: string, keepAlive: boolean][] = [
  ["GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "length", true],
  ["HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "none", true],
  ["GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", "none", true],
  ["GET", "HTTP/1.1 204\r\n\r\n", "none", true],
  ["GET", "HTTP/1.1 200 \r\n\r\n", "until close", false],
  ["GET", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", "length", false],
  ["GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nConnection: Close\r\n\r\n", "chunked", false],
];
for (const [method, head, framing, keepAlive] of RESPONSES) {
  Deno.test(`responseHead() reads ${JSON.stringify(head)} after ${method}`, () => {
    const read = responseHead(latin1(head), method);
    deepEqual([read.framing.kind, read.keepAlive], [framing, keepAlive]);
  });
}

for (
  const head of [
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "ICY 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
  ]
) {
  Deno.test(`responseHead() refuses ${JSON.stringify(head)}`, () => {
    throws(() => responseHead(latin1(head), "GET"), Refusal);
  });
}
