/** Addresses as numbers: read strictly, written in one way. */

/** An IP address. */
export interface Address {
  readonly family: 4 | 6;
  readonly value: bigint;
  /** In its one usual spelling: dotted decimals, or RFC 5952. */
  readonly text: string;
}

/** How many bits an address of a family has. */
export function bitsOf(family: 4 | 6): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/**
 * Reads an address: four decimal numbers, or IPv6 without a zone. What is an IPv4 address mapped into IPv6
 * (`::ffff:192.0.2.1`) is that IPv4 address, for the kernel treats it so.
 *
 * @returns nothing for any other spelling: octal, hexadecimal or short numbers, brackets, zones, white space
 */
export function parseAddress(text: string): Address | undefined {
  const value = dotted(text);
  if (value !== undefined) return ipv4(value);
  if (text.length > 45 || !/^[0-9a-f:.]*:[0-9a-f:.]*$/i.test(text) || !URL.canParse(`http://[${text}]`)) {
    return;
  }
  const usual = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const bits = groupsOf(usual);
  return isMapped(bits) ? ipv6(bits) : { family: 6, value: bits, text: usual };
}

/** The IPv4 address of a number of 32 bits. */
export function ipv4(value: bigint): Address {
  const number = Number(value);
  const text = [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join(".");
  return { family: 4, value, text };
}

/** The address of a number of 128 bits; of IPv4 if it is mapped. */
export function ipv6(value: bigint): Address {
  if (isMapped(value)) return ipv4(value & 0xffff_ffffn);
  const groups = value.toString(16).padStart(32, "0").match(/..../g)!;
  const text = new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
  return { family: 6, value, text };
}

/** The address of a family and number. */
export function addressOf(family: 4 | 6, value: bigint): Address {
  return family === 4 ? ipv4(value) : ipv6(value);
}

function isMapped(value: bigint): boolean {
  return value >> 32n === 0xffffn;
}

/** The number of four decimals, each from 0 to 255 and without a zero in front. */
function dotted(text: string): bigint | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (!parts) return;
  let value = 0;
  for (const part of parts.slice(1)) {
    if (Number(part) > 255 || (part.length > 1 && part[0] === "0")) return;
    value = value * 256 + Number(part);
  }
  return BigInt(value);
}

/** The number of an IPv6 address in the spelling of URLs: eight groups, of which `::` leaves some out. */
function groupsOf(text: string): bigint {
  const [head = "", tail] = text.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array<string>(8 - before.length - after.length).fill("0");
  return [...before, ...zeros, ...after].reduce((value, group) => value << 16n | BigInt(`0x${group}`), 0n);
}
