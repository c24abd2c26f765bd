import { equal, ok } from "node:assert/strict";
import ipaddr from "ipaddr.js";
import { addressOf, parseAddress } from "../../../../network/policy/addresses.ts";
import { cidrText, contains, parseCidr, without } from "../../../../network/policy/cidr.ts";
import { SPECIAL_RANGES, specialRange } from "../../../../network/policy/special.ts";
import { randomOf } from "./random.ts";

const kindOf = (text: string): string | undefined => specialRange(parseAddress(text)!)?.kind;

Deno.test("parseAddress() takes the usual spellings only", () => {
  const right: Record<string, string> = {
    "192.0.2.1": "192.0.2.1",
    "2001:DB8:0:0::1": "2001:db8::1",
    "::": "::",
    "::ffff:192.0.2.1": "192.0.2.1",
    "::ffff:c000:201": "192.0.2.1",
    "64:ff9b::192.0.2.1": "64:ff9b::c000:201",
  };
  for (const [text, expected] of Object.entries(right)) equal(parseAddress(text)?.text, expected, text);
  const wrong = [
    "192.0.2",
    "3221225985",
    "0xc0.0.2.1",
    "192.0.2.01",
    "0300.0.2.1",
    "192.0.2.256",
    "192.0.2.1.",
    " 192.0.2.1",
  ]
    .concat([
      "[::1]",
      "fe80::1%eth0",
      "::1%25",
      "1::2::3",
      "::ffff:192.0.2.01",
      ":",
      "",
      "12345::",
      "a.example",
      "::1/128",
    ])
    .concat(["１９２.0.2.1", "192.0.2.1\n", "::1\t", "1:2:3:4:5:6:7:8:9", "::192.0.2"]);
  for (const text of wrong) equal(parseAddress(text), undefined, text);
});

Deno.test("parseCidr() refuses bits behind the prefix", () => {
  for (
    const text of [
      "192.0.2.1/24",
      "192.0.2.0/33",
      "2001:db8::1/32",
      "::/129",
      "::ffff:0:0/96",
      "10.0.0.0/08",
      "/8",
      "a/8",
    ]
  ) {
    equal(parseCidr(text), undefined, text);
  }
  equal(cidrText(parseCidr("2001:db8::/32")!), "2001:db8::/32");
  equal(cidrText(parseCidr("192.0.2.1")!), "192.0.2.1/32");
});

Deno.test("specialRange() decides over mixed forms by the IPv4 address in them", () => {
  const forms = (hex: string, inverted: string): string[] => [
    `::ffff:${hex}`,
    `::${hex}`,
    `::ffff:0:${hex}`,
    `64:ff9b::${hex}`,
    `2002:${hex}::1`,
    `2001:0:${hex}:0:0:3fff:fdfe`,
    `2001:0:c000:201:0:0:${inverted}`,
    `2001:db8::5efe:${hex}`,
    `2001:db8::200:5efe:${hex}`,
  ];
  for (const text of forms("a9fe:a9fe", "5601:5601")) equal(kindOf(text), "metadata", text);
  for (const text of forms("7f00:1", "80ff:fffe")) equal(kindOf(text), "loopback", text);
  for (const text of forms("a00:1", "f5ff:fffe")) equal(kindOf(text), "private", text);
  for (const text of forms("c000:201", "3fff:fdfe")) equal(kindOf(text), undefined, text);
});

Deno.test("specialRange() knows where clouds keep credentials, and lets documentation through", () => {
  for (
    const text of ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "fd20:ce::254"]
  ) {
    equal(kindOf(text), "metadata", text);
  }
  const kinds: Record<string, string | undefined> = {
    "0.1.2.3": "unspecified",
    "100.64.0.1": "shared",
    "198.19.0.1": "benchmarking",
    "255.255.255.255": "broadcast",
    "255.255.255.254": "reserved",
    "fe80::1": "link-local",
    "fec0::1": "private",
    "fd12::1": "private",
    "64:ff9b:1::1": "private",
    "ff02::1": "multicast",
    "4000::1": "reserved",
    "192.0.2.1": undefined,
    "198.51.100.1": undefined,
    "203.0.113.1": undefined,
    "2001:db8::1": undefined,
    "2606:4700::1": undefined,
  };
  for (const [text, kind] of Object.entries(kinds)) equal(kindOf(text), kind, text);
});

Deno.test("parseAddress() and specialRange() agree with another library over 20,000 addresses", () => {
  const { integer, pick } = randomOf(6);
  // What it calls special and the registries let through, or the other way round.
  const differing = [
    "192.0.2.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "192.175.48.0/24",
    "192.31.196.0/24",
  ]
    .concat([
      "192.52.193.0/24",
      "2001:db8::/32",
      "3fff::/20",
      "2001::/23",
      "2620:4f:8000::/48",
      "168.63.129.16",
    ]);
  for (let round = 0; round < 20_000; round++) {
    // Half of them in or just beside a special range.
    const { range } = pick(SPECIAL_RANGES);
    const bits = range.family === 4 ? 32 : 128;
    const noise = BigInt(integer(2 ** 32)) << BigInt(integer(bits - 31)) | BigInt(integer(2 ** 16));
    const value = BigInt.asUintN(bits, (round % 2 ? range.value : 0n) ^ noise);
    const address = addressOf(range.family, value);
    const theirs = ipaddr.process(address.text);
    equal(theirs.toString(), address.text);
    equal(parseAddress(address.text)?.value, address.value);
    if (address.family === 6 && specialRange(address)?.kind !== undefined) {
      // Theirs does not look for IPv4 inside, or for what is outside of global unicast.
      continue;
    }
    if (differing.some((text) => contains(parseCidr(text)!, address))) continue;
    const name = theirs.range();
    const mixed = ["6to4", "teredo", "rfc6052", "rfc6145"].includes(name);
    equal(specialRange(address) !== undefined || mixed, name !== "unicast", `${address.text} is ${name}`);
  }
});

Deno.test("without() leaves exactly what is not in the hole", () => {
  const { integer } = randomOf(7);
  const block = parseCidr("192.0.2.0/26")!;
  for (let round = 0; round < 500; round++) {
    const prefix = 24 + integer(9);
    const start = BigInt(0xc0000200 + integer(128)) >> BigInt(32 - prefix) << BigInt(32 - prefix);
    const hole = { family: 4 as const, value: start, prefix };
    const pieces = without(block, hole);
    for (let last = 0; last < 64; last++) {
      const address = parseAddress(`192.0.2.${last}`)!;
      equal(pieces.filter((piece) => contains(piece, address)).length, contains(hole, address) ? 0 : 1);
    }
    ok(pieces.length <= 6);
  }
});

Deno.test("specialRange() gives each mixed form of 3,000 addresses the kind of the IPv4 address in it", () => {
  const { integer, pick } = randomOf(8);
  const four = SPECIAL_RANGES.filter(({ range }) => range.family === 4);
  for (let round = 0; round < 3000; round++) {
    const noise = round % 3 ? integer(2 ** (1 + integer(16))) : integer(2 ** 32);
    const address = addressOf(4, (round % 3 ? pick(four).range.value : 0n) ^ BigInt(noise));
    const hex = address.value.toString(16).padStart(8, "0").replace(/^..../, "$&:");
    const inverted = (address.value ^ 0xffff_ffffn).toString(16).padStart(8, "0").replace(/^..../, "$&:");
    const forms = [
      `::ffff:${hex}`,
      `::ffff:0:${hex}`,
      `64:ff9b::${hex}`,
      `2002:${hex}::1`,
      `2606::5efe:${hex}`,
    ]
      .concat([`2001:0:c000:201::${inverted}`], address.value > 1n ? [`::${hex}`] : []);
    for (const form of forms) equal(kindOf(form), kindOf(address.text), `${form} of ${address.text}`);
  }
});
