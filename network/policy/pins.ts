/** Which packets the firewall lets through or hands to the proxy. */

import { parseAddress } from "./addresses.ts";
import { type Cidr, cidrText, isWithin, without } from "./cidr.ts";
import { blockOf, coversAddress, coversName, isConditional, namingRules, transportOf } from "./match.ts";
import { canonicalName } from "./names.ts";
import type { NetworkPolicy, NetworkRule, PortRange } from "./policy.ts";
import { common, portsWithout } from "./ports.ts";
import { LONGEST_UNKNOWN, MIXED_BLOCKS, NOT_GLOBAL, SPECIAL_RANGES, specialRange } from "./special.ts";

/** Ports that get into the firewall. TCP goes to the proxy, which decides again; UDP passes. */
export interface Pin extends PortRange {
  readonly transport: "tcp" | "udp";
  /** The rule that it is for. */
  readonly rule: string;
}

/** The same for a block of addresses. */
export interface StaticPin extends Pin {
  readonly cidr: string;
}

const TRANSPORTS = ["tcp", "udp"] as const;

/**
 * The ports to pin for an answer about `name`, already allowed.
 *
 * @param address The address in the answer: what is special about it, and what rules deny it, is left out.
 */
export function pinsOf(policy: NetworkPolicy, name: string, address?: string): Pin[] {
  const known = canonicalName(name);
  if (known === undefined) return [];
  const to = address === undefined ? undefined : parseAddress(address);
  if (address !== undefined && !to) return [];
  return TRANSPORTS.flatMap((transport) => {
    const holes = policy.deny.filter((rule) => deniesTransport(rule, transport)).filter(({ destination }) =>
      coversName(destination, known) || (to !== undefined && coversAddress(destination, to))
    ).flatMap(({ ports }) => ports);
    const naming = to && specialRange(to)
      ? namingRules(policy, to).filter((rule) => speaks(rule, transport)).flatMap(({ ports }) => ports)
      : undefined;
    return policy.allow.filter((rule) => speaks(rule, transport) && coversName(rule.destination, known))
      .flatMap((rule) => {
        const open = portsWithout(rule.ports, holes);
        const ports = naming ? common(open, naming) : open;
        return ports.map(({ first, last }) => ({ first, last, transport, rule: rule.id }));
      });
  });
}

/** What rules about addresses pin before any name is resolved. */
export function staticPins(policy: NetworkPolicy): StaticPin[] {
  return TRANSPORTS.flatMap((transport) => {
    const holes = policy.deny.filter((rule) => deniesTransport(rule, transport));
    return policy.allow.filter((rule) => speaks(rule, transport)).flatMap((rule) => {
      const block = blockOf(rule.destination);
      if (!block) return [];
      const whole = specialHoles(block).reduce<Cidr[]>(
        (left, hole) => left.flatMap((each) => without(each, hole)),
        [block],
      );
      let pieces = whole.flatMap((cidr) => rule.ports.map((ports): Piece => ({ cidr, ports })));
      for (const hole of holes) pieces = pieces.flatMap((piece) => withoutRule(piece, hole));
      return pieces.map(({ cidr, ports: { first, last } }) => ({
        cidr: cidrText(cidr),
        first,
        last,
        transport,
        rule: rule.id,
      }));
    });
  });
}

interface Piece {
  readonly cidr: Cidr;
  readonly ports: PortRange;
}

function withoutRule(piece: Piece, { destination, ports }: NetworkRule): Piece[] {
  const hole = blockOf(destination);
  if (!hole || !(isWithin(hole, piece.cidr) || isWithin(piece.cidr, hole))) return [piece];
  return [
    ...portsWithout([piece.ports], ports).map((range) => ({ cidr: piece.cidr, ports: range })),
    ...without(piece.cidr, hole).flatMap((cidr) =>
      common([piece.ports], ports).map((range) => ({ cidr, ports: range }))
    ),
  ];
}

/** What of a rule's block it does not name. */
function specialHoles(block: Cidr): Cidr[] {
  const ranges = SPECIAL_RANGES.map(({ range }) => range);
  return [
    ...MIXED_BLOCKS,
    ...ranges.filter((range) => !isWithin(block, range)),
    ...NOT_GLOBAL.filter(() => block.prefix < LONGEST_UNKNOWN),
  ];
}

function speaks({ protocols }: NetworkRule, transport: "tcp" | "udp"): boolean {
  return protocols.some((protocol) => transportOf(protocol) === transport);
}

/** Whether a rule denies all that a transport can carry. */
function deniesTransport(rule: NetworkRule, transport: "tcp" | "udp"): boolean {
  return !isConditional(rule) && rule.protocols.includes(transport);
}
