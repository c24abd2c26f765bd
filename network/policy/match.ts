/** Whether single parts of a rule hold. */

import type { Address } from "./addresses.ts";
import { type Cidr, contains, isWithin, parseCidr } from "./cidr.ts";
import { matchesAny, matchesGlob } from "./glob.ts";
import { isBelow } from "./names.ts";
import { readPath } from "./paths.ts";
import type { Destination, NetworkPolicy, NetworkRule, Protocol } from "./policy.ts";
import { ALL_PORTS, hasPort, portsWithout } from "./ports.ts";
import { embedded, specialRange } from "./special.ts";

/** What of a request conditions look at. */
export interface RequestParts {
  readonly method: string;
  readonly path: string;
  readonly headers: Iterable<readonly [string, string]>;
}

/** What packets of a protocol are. */
export function transportOf(protocol: Protocol): "tcp" | "udp" {
  return protocol === "udp" ? "udp" : "tcp";
}

/** Whether a rule's destination is or covers a name, in its one spelling. */
export function coversName({ kind, ...to }: Destination, name: string): boolean {
  if (!("name" in to)) return false;
  return kind === "name" ? to.name === name : isBelow(name, to.name);
}

/** The block of a rule that is about addresses. */
export function blockOf(destination: Destination): Cidr | undefined {
  return destination.kind === "addresses" ? parseCidr(destination.cidr) : undefined;
}

/** Whether a rule's block has an address, or the IPv4 address in it. */
export function coversAddress(destination: Destination, address: Address): boolean {
  if (destination.kind !== "addresses") return false;
  // Reading a block takes longer than seeing that it is of the other family.
  const family = destination.cidr.includes(":") ? 6 : 4;
  const forms = [address, ...embedded(address)].filter((form) => form.family === family);
  const block = forms.length > 0 ? blockOf(destination) : undefined;
  return block !== undefined && forms.some((form) => contains(block, form));
}

/** Whether a rule asks for more than where a connection leads to. */
export function isConditional({ methods, paths, headers }: NetworkRule): boolean {
  return methods.length > 0 || paths.length > 0 || Object.keys(headers).length > 0;
}

/** Whether a rule to allow is about a protocol: what is TCP without a look inside may be any of its protocols. */
export function allowsProtocol({ protocols }: NetworkRule, protocol: Protocol): boolean {
  return protocols.includes(protocol) || (protocol !== "udp" && protocols.includes("tcp"));
}

/** Whether a rule to deny is about a protocol: what nobody looks into could be the one that is denied. */
export function deniesProtocol({ protocols }: NetworkRule, protocol: Protocol): boolean {
  if (protocol === "tcp") return protocols.some((each) => each !== "udp");
  return allowsProtocol({ protocols } as NetworkRule, protocol);
}

/** Whether a rule to deny leaves nothing of where it leads. */
export function deniesAll(rule: NetworkRule): boolean {
  return !isConditional(rule) && portsWithout([ALL_PORTS], rule.ports).length === 0 &&
    rule.protocols.includes("tcp") && rule.protocols.includes("udp");
}

/** Whether what a rule asks of a request holds for sure. */
export function surelyHolds(rule: NetworkRule, request: RequestParts): boolean {
  if (rule.methods.length > 0 && !rule.methods.includes(request.method)) return false;
  if (rule.paths.length > 0) {
    const path = readPath(request.path);
    if (path === undefined || !rule.paths.some((pattern) => matchesGlob(pattern, path))) return false;
  }
  return Object.entries(rule.headers).every(([name, pattern]) => {
    const values = valuesOf(request, name);
    return values.length > 0 && values.every((value) => matchesAny(pattern, value));
  });
}

/** Whether what a rule asks of a request could hold: an ambiguous path could be any. */
export function mayHold(rule: NetworkRule, request: RequestParts): boolean {
  if (rule.methods.length > 0 && !rule.methods.includes(request.method)) return false;
  if (rule.paths.length > 0) {
    const path = readPath(request.path);
    if (path !== undefined && !rule.paths.some((pattern) => matchesGlob(pattern, path))) return false;
  }
  return Object.entries(rule.headers).every(([name, pattern]) =>
    valuesOf(request, name).some((value) => matchesAny(pattern, value))
  );
}

/**
 * The rule that names a special address: its block is in the special range, not around it, so that `0.0.0.0/0` names
 * none. Without a port any port will do.
 */
export function namingRules(policy: NetworkPolicy, address: Address): NetworkRule[] {
  const special = specialRange(address);
  if (!special) return [];
  return policy.allow.filter(({ destination }) => {
    const block = blockOf(destination);
    return block !== undefined && isWithin(block, special.range) && coversAddress(destination, address);
  });
}

/** Whether a rule is about a port of a transport. */
export function hasTransportPort(rule: NetworkRule, transport: "tcp" | "udp", port: number): boolean {
  return rule.protocols.some((each) => transportOf(each) === transport) && hasPort(rule.ports, port);
}

function valuesOf({ headers }: RequestParts, name: string): string[] {
  const values: string[] = [];
  for (const [each, value] of headers) if (each.toLowerCase() === name) values.push(value);
  return values;
}
