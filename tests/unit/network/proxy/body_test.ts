import { equal, rejects } from "node:assert/strict";
import { ByteReader } from "../../../../network/proxy/bytes.ts";
import { body } from "../../../../network/proxy/http/body.ts";
import type { Framing } from "../../../../network/proxy/http/head.ts";
import { latin1 } from "../../../../network/proxy/http/write.ts";
import { Refusal } from "../../../../network/proxy/refusal.ts";

/** A connection that gives so many bytes at a time. */
function source(text: string, step: number): { read(into: Uint8Array): Promise<number | null> } {
  let left = latin1(text);
  return {
    read(into: Uint8Array): Promise<number | null> {
      if (left.length === 0) return Promise.resolve(null);
      const piece = left.subarray(0, Math.min(step, into.length));
      into.set(piece);
      left = left.subarray(piece.length);
      return Promise.resolve(piece.length);
    },
  };
}

async function read(text: string, framing: Framing, step: number): Promise<[body: string, rest: string]> {
  const reader = new ByteReader(source(text, step));
  let found = "";
  for await (const piece of body(reader, framing)) found += String.fromCharCode(...piece);
  while (await reader.fill());
  return [found, String.fromCharCode(...reader.available)];
}

const CHUNKED = { kind: "chunked" } as const;
const GOOD: readonly [text: string, framing: Framing, body: string][] = [
  ["", { kind: "none" }, ""],
  ["hello", { kind: "length", bytes: 5 }, "hello"],
  ["3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n", CHUNKED, "abc0123456789"],
  ["1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n", CHUNKED, "a"],
  ["0\r\n\r\n", CHUNKED, ""],
];
for (const [text, framing, expected] of GOOD) {
  for (const step of [1, 2, 3, 7, 1000]) {
    Deno.test(`body() takes ${JSON.stringify(expected)} and no more, ${step} bytes at a time (${framing.kind})`, async () => {
      const [found, rest] = await read(`${text}NEXT`, framing, step);
      equal(found, expected);
      equal(rest, "NEXT");
    });
  }
}

for (
  const text of [
    "g\r\n",
    "3\nabc\n0\n\n",
    "3;a=b\r\nabc\r\n0\r\n\r\n",
    " 3\r\nabc\r\n0\r\n\r\n",
    "0x3\r\nabc\r\n0\r\n\r\n",
    "-1\r\n",
    "\r\n",
    "ffffffff\r\n",
    "3\r\nabcd\r\n0\r\n\r\n",
    "3\r\nab",
    "0\r\nGET / HTTP/1.1\r\n\r\n",
    "0\r\n folded: a\r\n\r\n",
    "0\r\n",
    `0\r\nA: ${"b".repeat(9000)}\r\n\r\n`,
    "3\r\nabc\r\n",
  ]
) {
  Deno.test(`body() refuses the chunks ${JSON.stringify(text.slice(0, 40))}`, async () => {
    for (const step of [1, 1000]) await rejects(read(text, CHUNKED, step), Refusal);
  });
}

Deno.test("body() refuses an end before the length that was told", async () => {
  await rejects(read("abc", { kind: "length", bytes: 4 }, 10), Refusal);
});
