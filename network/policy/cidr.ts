/** Blocks of addresses. */

import { type Address, addressOf, bitsOf, parseAddress } from "./addresses.ts";

/** All addresses that begin with the same bits. */
export interface Cidr {
  readonly family: 4 | 6;
  /** The first address. */
  readonly value: bigint;
  /** How many bits they have in common. */
  readonly prefix: number;
}

/** Reads `address/prefix`, or an address for itself alone; bits behind the prefix must be zero. */
export function parseCidr(text: string): Cidr | undefined {
  const [, base = "", bits] = /^([^/]*)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text) ?? [];
  const address = parseAddress(base);
  if (!address) return;
  // A mapped block would become one of IPv4, with a prefix that means something else.
  if (address.family === 4 && base.includes(":")) return;
  const prefix = bits === undefined ? bitsOf(address.family) : Number(bits);
  if (prefix > bitsOf(address.family)) return;
  const cidr = cidrOf(address, prefix);
  return cidr.value === address.value ? cidr : undefined;
}

/** The block of `prefix` common bits that an address is in. */
export function cidrOf({ family, value }: Address, prefix: number): Cidr {
  const rest = BigInt(bitsOf(family) - prefix);
  return { family, value: value >> rest << rest, prefix };
}

/** The spelling of a block. */
export function cidrText({ family, value, prefix }: Cidr): string {
  return `${addressOf(family, value).text}/${prefix}`;
}

/** Whether an address is in a block. */
export function contains(block: Cidr, { family, value }: Address): boolean {
  if (family !== block.family) return false;
  const rest = BigInt(bitsOf(family) - block.prefix);
  return (value ^ block.value) >> rest === 0n;
}

/** Whether all of `inner` is in `outer`. */
export function isWithin(inner: Cidr, outer: Cidr): boolean {
  return inner.prefix >= outer.prefix && contains(outer, { ...inner, text: "" });
}

/** What of `block` is not in `hole`, as few blocks as it takes. */
export function without(block: Cidr, hole: Cidr): Cidr[] {
  if (isWithin(block, hole)) return [];
  if (!isWithin(hole, block)) return [block];
  const pieces: Cidr[] = [];
  // On the way to the hole, the half that it is not in stays.
  for (let prefix = block.prefix + 1; prefix <= hole.prefix; prefix++) {
    const rest = BigInt(bitsOf(block.family) - prefix);
    const other = (hole.value >> rest ^ 1n) << rest;
    pieces.push({ family: block.family, value: other, prefix });
  }
  return pieces;
}
