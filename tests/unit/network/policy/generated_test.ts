import { deepEqual, equal, ok } from "node:assert/strict";
import type { NetworkPolicy, Protocol } from "../../../../network/policy/policy.ts";
import { tryUrl } from "../../../../network/policy/trial.ts";
import { type Asked, oracle } from "./oracle.ts";
import { randomOf } from "./random.ts";
import { policyOf, type RuleLike } from "./rules.ts";

const POLICIES = 1000;
const REQUESTS = 100;

const NAMES = [
  "a.example",
  "b.a.example",
  "c.b.a.example",
  "xa.example",
  "b.example",
  "example",
  "xn--bcher-kva.example",
];
const TARGETS = [
  "*.a.example",
  "*.example",
  "*",
  "192.0.2.0/24",
  "192.0.2.7",
  "10.0.0.0/8",
  "10.1.0.0/16",
  "0.0.0.0/0",
]
  .concat([
    "169.254.169.254",
    "169.254.0.0/16",
    "127.0.0.1",
    "198.51.100.0/24",
    "224.0.0.0/4",
    "168.63.129.16",
  ]);
const ADDRESSES = [
  "192.0.2.1",
  "192.0.2.7",
  "198.51.100.9",
  "8.8.8.8",
  "10.1.2.3",
  "10.2.2.3",
  "127.0.0.1",
  "0.0.0.0",
]
  .concat([
    "169.254.169.254",
    "169.254.1.1",
    "100.100.100.200",
    "168.63.129.16",
    "224.0.0.1",
    "255.255.255.255",
  ])
  .concat(["172.16.0.1", "192.168.0.1", "198.18.0.1", "192.0.0.192", "240.0.0.1"]);
const PORTS = [22, 80, 80, 80, 443, 443, 443, 8080, 65535];
const METHODS = ["GET", "GET", "POST", "PUT", "get"];
const PATTERNS = ["/", "/**", "/v1/*", "/v1/**", "/v1/*/x", "/**/x", "/a*c", "/v1/secret", "/é/*"];
const SEGMENTS = ["v1", "x", "secret", "abc", "a", "é", "a b"];

type Random = ReturnType<typeof randomOf>;

function policyFrom(random: Random): NetworkPolicy {
  const { pick, chance, integer } = random;
  const some = <T>(list: readonly T[], most: number): T[] => [
    ...new Set(Array.from({ length: 1 + integer(most) }, () => pick(list))),
  ];
  const rule = (kind: "allow" | "deny"): RuleLike => {
    const picky = chance(kind === "allow" ? 0.5 : 0.6);
    const protocols: Protocol[] = picky
      ? some(["http", "https"], 2)
      : some(["http", "https", "tcp", "udp"], 4);
    return {
      to: chance(0.5) ? pick(NAMES) : pick(TARGETS),
      ...(chance(0.6)
        ? {
          ports: some(PORTS, 3).map((first) => ({ first, last: Math.min(65535, first + pick([0, 0, 400])) })),
        }
        : {}),
      ...(picky || chance(0.6) ? { protocols } : {}),
      ...(picky && chance(0.6) ? { methods: some(METHODS.slice(0, 4), 3) } : {}),
      ...(picky && chance(0.7) ? { paths: some(PATTERNS, 2) } : {}),
      ...(picky && chance(0.3) ? { headers: { "x-team": pick(["blue-*", "*", "red", "*-1"]) } } : {}),
      ...(kind === "allow" && chance(0.4) ? { inspect: true } : {}),
    };
  };
  return policyOf(
    Array.from({ length: integer(12) }, () => rule("allow")),
    chance(0.4) ? Array.from({ length: 1 + integer(2) }, () => rule("deny")) : [],
  );
}

function octetsOf(text: string): number[] {
  return text.split(".").map(Number);
}

/** A host as somebody could write it, together with what it is. */
function hostFrom({ pick, chance, integer }: Random): Pick<Asked, "host" | "truth"> {
  if (chance(0.2)) {
    const octets = octetsOf(pick(ADDRESSES));
    const number = octets.reduce((sum, each) => sum * 256 + each, 0);
    const [a, b, c, d] = octets as [number, number, number, number];
    const hex = (high: number, low: number): string => (high * 256 + low).toString(16);
    const odd = [
      String(number),
      `0x${number.toString(16)}`,
      octets.map((each) => `0${each.toString(8)}`).join("."),
      octets.map((each) => `0x${each.toString(16)}`).join("."),
      `${a}.${b}.${c * 256 + d}`,
      `${a}.${b * 65536 + c * 256 + d}`,
      `${octets.join(".")}.`,
      `${a}。${b}。${c}。${d}`,
      `::ffff:${octets.join(".")}`,
    ];
    if (chance(0.4)) return { host: pick(odd), truth: undefined };
    const mapped = chance(0.3) ? `[::ffff:${hex(a, b)}:${hex(c, d)}]` : octets.join(".");
    return { host: mapped, truth: { octets } };
  }
  const name = pick(NAMES);
  switch (integer(16)) {
    case 0:
      return { host: name.toUpperCase(), truth: { name } };
    case 1:
      return { host: `${name}.`, truth: { name } };
    case 2:
      return { host: name.replace("xn--bcher-kva", "BÜcher"), truth: { name } };
    case 3:
      return { host: `${name}\0.a.example`, truth: undefined };
    case 4:
      return {
        host: pick([
          `${name}..`,
          `.${name}`,
          `-${name}`,
          ` ${name}`,
          `${name}%2e`,
          `${"a".repeat(64)}.${name}`,
        ]),
        truth: undefined,
      };
    case 5:
      return { host: `_x.${name}`, truth: { name: `_x.${name}` } };
    default:
      return { host: name, truth: { name } };
  }
}

/** A path as somebody could write it, together with what it is. */
function pathFrom({ pick, chance, integer }: Random): Pick<Asked, "path" | "truePath"> {
  const segments = Array.from({ length: integer(4) }, () => pick(SEGMENTS));
  const truePath = `/${segments.join("/")}`;
  const encode = (text: string): string =>
    encodeURIComponent(text).replaceAll(/[a-z]/g, (char) => {
      return chance(0.1) ? `%${char.charCodeAt(0).toString(16)}` : char;
    });
  // A letter inside of an escape must not be escaped once more.
  const written = `/${
    segments.map((each) => /^[a-z0-9]+$/.test(each) ? encode(each) : encodeURIComponent(each)).join("/")
  }`;
  if (chance(0.75)) return { path: written + pick(["", "", "?q=/../x", "?"]), truePath };
  const tricks = [
    "/..",
    "/../v1",
    "/.",
    "//x",
    "/%2e%2e/v1",
    "/.%2E",
    "%2fx",
    "%5cx",
    "\\x",
    "%00",
    "%252e",
    "%c3",
    "%zz",
    "/..;/v1",
    "\t",
    "/é",
    "%0d%0a",
  ];
  return { path: written + pick(tricks), truePath: undefined };
}

function askedFrom(random: Random): Asked {
  const { pick, chance, integer } = random;
  return {
    protocol: pick(["http", "http", "https", "https", "tcp", "udp"]),
    ...hostFrom(random),
    octets: octetsOf(chance(0.6) ? "192.0.2.1" : pick(ADDRESSES)),
    port: pick(PORTS) + (chance(0.1) ? pick([1, -1]) : 0),
    method: pick(METHODS),
    ...pathFrom(random),
    headers: Array.from(
      { length: integer(3) },
      () => [pick(["X-Team", "x-team", "x"]), pick(["blue-1", "red", ""])],
    ),
  };
}

Deno.test("100,000 generated requests: no verdict is other than that of the oracle", () => {
  const random = randomOf(20_261_127);
  const wrong: unknown[] = [];
  let [allowed, total] = [0, 0];
  for (let round = 0; round < POLICIES; round++) {
    const policy = policyFrom(random);
    for (let each = 0; each < REQUESTS; each++) {
      const asked = askedFrom(random);
      const url = `${asked.protocol}://${asked.host}:${asked.port}${asked.path}`;
      const expected = oracle(policy, asked);
      let got = false;
      let trial: unknown;
      try {
        const { method, headers, octets } = asked;
        trial = tryUrl(policy, url, { method, headers, address: octets.join(".") });
        got = (trial as { verdict: string }).verdict === "allow";
      } catch (error) {
        if (!(error instanceof Error) || error.name !== "UsageError") throw error;
      }
      total++;
      if (got) allowed++;
      if (got !== expected && wrong.length < 3) wrong.push({ url, asked, trial, expected, policy });
    }
  }
  deepEqual(wrong.map((each) => JSON.stringify(each)), []);
  equal(total, 100_000);
  // Were nearly all the same, it would show nothing.
  ok(allowed > 5_000 && allowed < total - 5_000, `${allowed} of ${total} allowed`);
});

Deno.test("what is generated is the same in each run", () => {
  equal(JSON.stringify(askedFrom(randomOf(1))), JSON.stringify(askedFrom(randomOf(1))));
});
