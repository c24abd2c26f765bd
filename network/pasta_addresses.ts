import type { UnreachableBlock } from "../runtime/plan/context.ts";
import { reachableNameServers } from "./files.ts";
import { parseAddress } from "./policy/addresses.ts";
import { type Cidr, cidrText, parseCidr } from "./policy/cidr.ts";
import { SPECIAL_RANGES, type SpecialKind } from "./policy/special.ts";

/** What no sandbox reaches by way of the host: itself, its links and its provider. */
const KINDS: readonly SpecialKind[] = [
  "metadata",
  "unspecified",
  "loopback",
  "link-local",
  "multicast",
  "broadcast",
];
/** Where pasta passes questions on to a resolver that only the host reaches; a documentation address, so nobody has it. */
const RESOLVER = "192.0.2.253";

/** The name servers of a sandbox, and what pasta is to do for them. */
export function pastaNameServers(): {
  readonly servers: readonly string[];
  readonly args: readonly string[];
} {
  const own = new Set(addressesOfHost().map(cidrText));
  const servers = reachableNameServers().filter((each) => {
    const block = parseCidr(each);
    return block !== undefined && !own.has(cidrText(block));
  });
  if (servers.length > 0) return { servers, args: [] };
  return { servers: [RESOLVER], args: ["--dns-forward", RESOLVER] };
}

/** The addresses that are the host's now, and those that lead to it or beside it on every host. */
export function unreachableByPasta(): UnreachableBlock[] {
  const special = SPECIAL_RANGES.filter(({ kind }) => KINDS.includes(kind)).map(({ range }) => range);
  const known = new Map([...special, ...addressesOfHost()].map((block) => [cidrText(block), block]));
  const families = hasIpv6() ? [4, 6] : [4];
  return [...known].filter(([, { family }]) => families.includes(family)).map(([text, block]) => (
    { text, family: block.family, address: bytesOf(block), prefixLength: block.prefix }
  ));
}

function addressesOfHost(): Cidr[] {
  return Deno.networkInterfaces().flatMap(({ address }) => {
    const text = address.replace(/%.*/, "");
    const block = parseAddress(text) && parseCidr(text);
    return block ? [block] : [];
  });
}

function bytesOf({ family, value }: Cidr): number[] {
  const count = family === 4 ? 4 : 16;
  return Array.from(
    { length: count },
    (_, index) => Number(value >> BigInt(8 * (count - 1 - index)) & 0xffn),
  );
}

/** Whether the kernel has rules for it. */
function hasIpv6(): boolean {
  try {
    return Deno.statSync("/proc/sys/net/ipv6").isDirectory;
  } catch {
    return false;
  }
}
