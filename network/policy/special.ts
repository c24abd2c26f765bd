/** Addresses that no name may lead to: those of the host, its networks and its provider. */

import { type Address, ipv4 } from "./addresses.ts";
import { type Cidr, cidrOf, contains, parseCidr } from "./cidr.ts";

/** What a special range is for. */
export type SpecialKind =
  | "metadata"
  | "unspecified"
  | "loopback"
  | "private"
  | "shared"
  | "link-local"
  | "multicast"
  | "broadcast"
  | "benchmarking"
  | "reserved";

/** A range that is refused unless a rule names addresses in it. */
export interface SpecialRange {
  readonly kind: SpecialKind;
  readonly range: Cidr;
}

/**
 * The registries of special-purpose addresses (IANA, RFC 6890) without those for documentation, which nobody uses
 * on a network; and where clouds keep credentials for whoever asks. The first that fits decides.
 */
const RANGES: readonly (readonly [SpecialKind, string])[] = [
  ["metadata", "169.254.169.254"], // most clouds
  ["metadata", "169.254.170.2"], // AWS, for tasks
  ["metadata", "169.254.170.23"], // AWS, for pods
  ["metadata", "100.100.100.200"], // Alibaba
  ["metadata", "168.63.129.16"], // Azure: a public address
  ["metadata", "192.0.0.192"], // Oracle
  ["metadata", "fd00:ec2::254"], // AWS
  ["metadata", "fd00:ec2::23"], // AWS, for pods
  ["metadata", "fd20:ce::254"], // Google
  ["metadata", "fd00:42::42"], // Scaleway
  ["metadata", "fd00:c1::a9fe:a9fe"], // Oracle
  ["unspecified", "0.0.0.0/8"], // Linux takes 0.0.0.0 for itself
  ["private", "10.0.0.0/8"],
  ["shared", "100.64.0.0/10"],
  ["loopback", "127.0.0.0/8"],
  ["link-local", "169.254.0.0/16"],
  ["private", "172.16.0.0/12"],
  ["reserved", "192.0.0.0/24"],
  ["reserved", "192.88.99.0/24"],
  ["private", "192.168.0.0/16"],
  ["benchmarking", "198.18.0.0/15"],
  ["multicast", "224.0.0.0/4"],
  ["broadcast", "255.255.255.255"],
  ["reserved", "240.0.0.0/4"],
  ["unspecified", "::"],
  ["loopback", "::1"],
  ["reserved", "100::/64"], // discard
  ["reserved", "2001:1::/32"], // anycast of protocols
  ["benchmarking", "2001:2::/48"],
  ["reserved", "2001:10::/28"], // ORCHID
  ["reserved", "2001:20::/28"], // ORCHIDv2
  ["reserved", "2001:30::/28"], // identities of drones
  ["private", "fc00::/7"],
  ["link-local", "fe80::/10"],
  ["private", "fec0::/10"], // site-local, RFC 3879
  ["multicast", "ff00::/8"],
  ["private", "64:ff9b:1::/48"], // NAT64 of one's own network, RFC 8215
];

/** Where an IPv4 address stands in IPv6 addresses that begin like this: the number of bits before it. */
const EMBEDDINGS: readonly { readonly block: Cidr; readonly before: number; readonly inverted?: true }[] = [
  { block: cidr("::/96"), before: 96 }, // compatible, RFC 4291
  { block: cidr("::ffff:0:0:0/96"), before: 96 }, // translated, RFC 7915
  { block: cidr("64:ff9b::/96"), before: 96 }, // NAT64, RFC 6052
  { block: cidr("2002::/16"), before: 16 }, // 6to4, RFC 3056
  { block: cidr("2001::/32"), before: 32 }, // Teredo's server, RFC 4380
  { block: cidr("2001::/32"), before: 96, inverted: true }, // Teredo's client
];

/** What of IPv6 is handed out at all. */
const GLOBAL = cidr("2000::/3");
/** What is not; a rule with at least so many bits names addresses there. */
export const NOT_GLOBAL: readonly Cidr[] = ["::/3", "4000::/2", "8000::/1"].map(cidr);
export const LONGEST_UNKNOWN = 16;

/** The ranges, those with the fewest addresses of two that overlap first. */
export const SPECIAL_RANGES: readonly SpecialRange[] = RANGES.map(([kind, text]) => ({
  kind,
  range: cidr(text),
}));

/** The blocks of addresses that have an IPv4 address inside, which decides over them. */
export const MIXED_BLOCKS: readonly Cidr[] = [...EMBEDDINGS.map(({ block }) => block), {
  family: 6,
  value: 0xffffn << 32n,
  prefix: 96,
}];

/** The IPv4 addresses in an IPv6 address: mapped ones are IPv4 addresses already. */
export function embedded(address: Address): Address[] {
  const { family, value } = address;
  if (family === 4) return [];
  const found = EMBEDDINGS.filter(({ block }) => contains(block, address) && value > 1n).map(
    ({ before, inverted }) => {
      const bits = value >> BigInt(96 - before) & 0xffff_ffffn;
      return ipv4(inverted ? bits ^ 0xffff_ffffn : bits);
    },
  );
  // ISATAP (RFC 5214) is known by the half behind the prefix.
  const isatap = (value >> 32n & 0xfcff_ffffn) === 0x0000_5efen;
  return isatap ? [...found, ipv4(value & 0xffff_ffffn)] : found;
}

/** The special range that an address is in, or an IPv4 address inside of it. */
export function specialRange(address: Address): SpecialRange | undefined {
  for (const form of [address, ...embedded(address)]) {
    const special = SPECIAL_RANGES.find(({ range }) => contains(range, form));
    if (special) return special;
  }
  const known = address.family === 4 || contains(GLOBAL, address) ||
    MIXED_BLOCKS.some((block) => contains(block, address));
  return known ? undefined : { kind: "reserved", range: cidrOf(address, LONGEST_UNKNOWN) };
}

function cidr(text: string): Cidr {
  const block = parseCidr(text);
  if (!block) throw new TypeError(`Cannot read "${text}"`);
  return block;
}
