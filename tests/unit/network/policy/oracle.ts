/**
 * The same decisions once more, written without a look at the product: everything is turned into the plainest form
 * (bits as text, regular expressions of patterns), and nothing is shared with it but the types.
 */

import type { NetworkPolicy, NetworkRule } from "../../../../network/policy/policy.ts";

/** A request as a generator makes it, with what it means. */
export interface Asked {
  readonly protocol: "http" | "https" | "tcp" | "udp";
  /** The name or address that is written down. */
  readonly host: string;
  /** What that is in truth: a name in its one spelling, the four numbers of an address, or neither. */
  readonly truth: { readonly name: string } | { readonly octets: readonly number[] } | undefined;
  /** What a name resolves to: four numbers. */
  readonly octets: readonly number[];
  readonly port: number;
  readonly method: string;
  /** The path as it is written, and what it is in truth; nothing if servers would not agree. */
  readonly path: string;
  readonly truePath: string | undefined;
  readonly headers: readonly (readonly [string, string])[];
}

/** Whether it gets through. */
export function oracle(policy: NetworkPolicy, asked: Asked): boolean {
  const { truth } = asked;
  if (truth === undefined) return false;
  const name = "name" in truth ? truth.name : undefined;
  const octets = "octets" in truth ? truth.octets : asked.octets;
  // The resolver.
  if (name !== undefined) {
    if (policy.deny.some((rule) => whole(rule) && named(rule, name))) return false;
    if (!policy.allow.some((rule) => named(rule, name))) return false;
  }
  if (policy.deny.some((rule) => whole(rule) && addressed(rule, octets))) return false;
  // What is special has to be named, with the port and the kind of packets.
  const special = specialOf(octets);
  if (special !== undefined) {
    const says = policy.allow.some((rule) => {
      if (rule.destination.kind !== "addresses" || !addressed(rule, octets)) return false;
      if (Number(rule.destination.cidr.split("/")[1] ?? 32) < special) return false;
      const packets = rule.protocols.some((each) => (each === "udp") === (asked.protocol === "udp"));
      return packets && atPort(rule, asked.port);
    });
    if (!says) return false;
  }
  const aims = (rule: NetworkRule): boolean =>
    atPort(rule, asked.port) && ((name !== undefined && named(rule, name)) || addressed(rule, octets));
  // A program can hide HTTP in TCP that nobody looks into, and TCP is all of them.
  const blocks: Record<Asked["protocol"], string[]> = {
    http: ["http", "tcp"],
    https: ["https", "tcp"],
    tcp: ["http", "https", "tcp"],
    udp: ["udp"],
  };
  const against = policy.deny.filter((rule) =>
    aims(rule) && rule.protocols.some((each) => blocks[asked.protocol].includes(each))
  );
  const passes =
    { http: ["http", "tcp"], https: ["https", "tcp"], tcp: ["tcp"], udp: ["udp"] }[asked.protocol];
  const candidates = policy.allow.filter((rule) =>
    aims(rule) && rule.protocols.some((each) => passes.includes(each))
  );
  const seen = asked.protocol === "http" ||
    (asked.protocol === "https" && candidates.some(({ inspect }) => inspect));
  if (!seen) return against.length === 0 && candidates.some((rule) => !picky(rule));
  if (against.some((rule) => fits(rule, asked, true))) return false;
  return candidates.some((rule) =>
    (asked.protocol === "http" || rule.inspect || !picky(rule)) && fits(rule, asked, false)
  );
}

function named({ destination }: NetworkRule, name: string): boolean {
  switch (destination.kind) {
    case "name":
      return name === destination.name;
    case "below":
      return destination.name === "" ||
        new RegExp(`^.+\\.${destination.name.replaceAll(".", "\\.")}$`).test(name);
    case "addresses":
      return false;
  }
}

function addressed({ destination }: NetworkRule, octets: readonly number[]): boolean {
  if (destination.kind !== "addresses" || destination.cidr.includes(":")) return false;
  return inBlock(destination.cidr, octets);
}

function bits(octets: readonly number[]): string {
  return octets.map((each) => each.toString(2).padStart(8, "0")).join("");
}

function inBlock(cidr: string, octets: readonly number[]): boolean {
  const [base = "", prefix = "32"] = cidr.split("/");
  return bits(base.split(".").map(Number)).slice(0, Number(prefix)) === bits(octets).slice(0, Number(prefix));
}

/** The length of the prefix of the special range that an address is in. */
function specialOf(octets: readonly number[]): number | undefined {
  const [a = 0, b = 0, c = 0] = octets;
  const metadata = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
  ];
  const text = octets.join(".");
  if (metadata.includes(text) || text === "255.255.255.255") return 32;
  if (a === 0 || a === 10 || a === 127) return 8;
  if (a === 172 && b >= 16 && b < 32) return 12;
  if ((a === 192 && b === 168) || (a === 169 && b === 254)) return 16;
  if (a === 100 && b >= 64 && b < 128) return 10;
  if (a === 198 && (b === 18 || b === 19)) return 15;
  if (a === 192 && b === 0 && c === 0) return 24;
  if (a === 192 && b === 88 && c === 99) return 24;
  return a >= 224 ? 4 : undefined;
}

function atPort({ ports }: NetworkRule, port: number): boolean {
  for (const { first, last } of ports) if (first <= port && port <= last) return true;
  return false;
}

function picky({ methods, paths, headers }: NetworkRule): boolean {
  return methods.length + paths.length + Object.keys(headers).length > 0;
}

function whole(rule: NetworkRule): boolean {
  const open = new Set<number>();
  for (const { first, last } of rule.ports) if (first <= 1 && last >= 65535) open.add(0);
  return open.size > 0 && !picky(rule) && rule.protocols.includes("tcp") && rule.protocols.includes("udp");
}

function fits(rule: NetworkRule, { method, truePath, headers }: Asked, whenInDoubt: boolean): boolean {
  if (rule.methods.length > 0 && !rule.methods.includes(method)) return false;
  if (rule.paths.length > 0) {
    if (
      truePath === undefined
        ? !whenInDoubt
        : !rule.paths.some((each) => expression(each, "[^/]*").test(truePath))
    ) {
      return false;
    }
  }
  for (const [name, pattern] of Object.entries(rule.headers)) {
    const given = headers.filter(([each]) => each.toLowerCase() === name);
    const right = given.filter(([, value]) => expression(pattern, ".*").test(value));
    if (right.length === 0 || (!whenInDoubt && right.length < given.length)) return false;
  }
  return true;
}

function expression(pattern: string, star: string): RegExp {
  const escaped = pattern.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("**", "\0").replaceAll("*", star).replaceAll("\0", ".*")}$`, "s");
}
