/**
 * What a policy says about names, addresses, connections and requests. What no rule allows is refused; rules that deny
 * come first. Nothing here resolves, connects or waits.
 */

import { type Address, parseAddress } from "./addresses.ts";
import {
  allowsProtocol,
  coversAddress,
  coversName,
  deniesAll,
  deniesProtocol,
  hasTransportPort,
  isConditional,
  mayHold,
  namingRules,
  surelyHolds,
  transportOf,
} from "./match.ts";
import { canonicalName, literalAddress, readName } from "./names.ts";
import type { NetworkPolicy, NetworkRule, Protocol, Verdict } from "./policy.ts";
import { hasPort } from "./ports.ts";
import { specialRange } from "./special.ts";

export { type Pin, pinsOf, type StaticPin, staticPins } from "./pins.ts";

/** A connection that a sandbox opens. */
export interface Connection {
  /** The allowed names that the address is pinned for. Of them a connection may be for any. */
  readonly names: readonly string[];
  /** Nothing before the name is resolved: rules about addresses are not asked then. */
  readonly address: string | undefined;
  readonly port: number;
  /** What is spoken on it, as far as it was looked into. */
  readonly protocol: Protocol;
  /**
   * Of TLS: the name in its first message, `null` if there is none. It must be one of the names. Left out, the
   * connection may be for any of `names`.
   */
  readonly serverName?: string | null;
}

/** What is decided when a connection is opened. Of HTTP, each request is decided for itself afterwards. */
export interface ConnectionVerdict extends Verdict {
  /** Whether TLS is to be opened. */
  readonly inspect: boolean;
  /** The rule that allows or denies it, if it is one of the policy. */
  readonly matched: NetworkRule | undefined;
}

/** A request on a connection that is allowed. */
export interface HttpRequest {
  readonly scheme: "http" | "https";
  /** The host that it is for, without the port: a name or an address (IPv6 in brackets). */
  readonly name: string;
  readonly port: number;
  readonly method: string;
  /** As it was sent, with its query or without. */
  readonly path: string;
  readonly headers: Iterable<readonly [string, string]>;
  /** Whether it asks to go over to WebSocket. */
  readonly isWebSocket?: boolean;
  /** Where the connection leads, where that is known. */
  readonly address?: string;
  /** The allowed names that the address is pinned for; `name` must be one. */
  readonly names?: readonly string[];
}

/** Which of the addresses of a name a sandbox gets. */
export interface PermittedAddresses {
  /** In their usual spelling, each once. */
  readonly pinned: readonly string[];
  readonly refused: readonly (Verdict & { readonly address: string })[];
}

/** Decides over a name before it is resolved. */
export function decideName(policy: NetworkPolicy, name: string): Verdict {
  const read = readName(name);
  if (read.name === undefined) return deny("builtin:name", read.flaw);
  const denying = policy.deny.find((rule) => deniesAll(rule) && coversName(rule.destination, read.name));
  if (denying) return deny(denying.id, "the rule denies this name");
  const allowing = policy.allow.find(({ destination }) => coversName(destination, read.name));
  return allowing ? allow(allowing.id, "the rule allows this name") : BY_DEFAULT;
}

/**
 * Decides over the addresses that an allowed name was resolved to: special ranges are refused unless a rule names
 * addresses in them.
 */
export function permittedAddresses(
  policy: NetworkPolicy,
  _name: string,
  addresses: readonly string[],
): PermittedAddresses {
  const pinned = new Set<string>();
  const refused: (Verdict & { address: string })[] = [];
  for (const text of addresses) {
    const address = parseAddress(text);
    const verdict = address ? ofAddress(policy, address, () => true) : NO_ADDRESS;
    if (verdict) refused.push({ ...verdict, address: text });
    else pinned.add(address!.text);
  }
  return { pinned: [...pinned], refused };
}

/** Decides over a connection when it is opened, and of TLS when its first message is there. */
export function decideConnection(policy: NetworkPolicy, connection: Connection): ConnectionVerdict {
  const { port, protocol, serverName } = connection;
  const refuse = (verdict: Verdict, matched?: NetworkRule): ConnectionVerdict => ({
    ...verdict,
    inspect: false,
    matched,
  });
  const address = connection.address === undefined ? undefined : parseAddress(connection.address);
  if (connection.address !== undefined && !address) return refuse(NO_ADDRESS);
  if (!isPort(port)) return refuse(deny("builtin:port", "there is no such port"));
  let names = connection.names.flatMap((each) => canonicalName(each) ?? []);
  if (serverName === null) names = [];
  else if (serverName !== undefined) {
    const name = canonicalName(serverName);
    if (name === undefined || !names.includes(name)) {
      return refuse(
        deny("builtin:server-name", "the name in TLS is none that the address was given out for"),
      );
    }
    names = [name];
  }

  const denying = policy.deny.filter((rule) => deniesProtocol(rule, protocol) && hasPort(rule.ports, port));
  const aims = (rule: NetworkRule, some: readonly string[]): boolean =>
    (address !== undefined && coversAddress(rule.destination, address)) ||
    some.some((name) => coversName(rule.destination, name));
  // What a request decides waits for it, if there will be one.
  const now = denying.filter((rule) => protocol !== "http" && protocol !== "https" || !isConditional(rule));
  // On one connection of HTTP there may be requests for each of the names: those that are denied are left out.
  if (protocol === "http" && names.length > 1) {
    const left = names.filter((name) => !now.some((rule) => coversName(rule.destination, name)));
    if (left.length > 0) names = left;
  }
  const denied = now.find((rule) => aims(rule, names));
  if (denied) return refuse(deny(denied.id, "the rule denies this connection"), denied);
  const special = address &&
    ofAddress(policy, address, (rule) => hasTransportPort(rule, transportOf(protocol), port));
  if (special) return refuse(special);

  const allowing = policy.allow.filter((rule) =>
    allowsProtocol(rule, protocol) && hasPort(rule.ports, port) && aims(rule, names) &&
    (!isConditional(rule) || protocol === "http" || (protocol === "https" && rule.inspect))
  );
  const opened = protocol === "https" ? allowing.find(({ inspect }) => inspect) : undefined;
  const matched = opened ?? allowing[0];
  if (!matched) return refuse(BY_DEFAULT);
  const unseen = opened || protocol === "http" ? undefined : denying.find((rule) => aims(rule, names));
  if (unseen) {
    return refuse(
      deny(unseen.id, "the rule denies some requests, and without inspect nobody sees which"),
      unseen,
    );
  }
  return { ...allow(matched.id, "the rule allows this connection"), inspect: opened !== undefined, matched };
}

/** Decides over a request of HTTP, in clear text or in TLS that was opened. */
export function decideRequest(policy: NetworkPolicy, request: HttpRequest): Verdict {
  const { scheme, port, method } = request;
  if (!isPort(port)) return deny("builtin:port", "there is no such port");
  if (!TOKEN.test(method)) return deny("builtin:method", "the method is no token");
  const literal = literalAddress(request.name);
  const name = literal ? undefined : canonicalName(request.name);
  if (!literal && name === undefined) return deny("builtin:name", readName(request.name).flaw!);
  const address = request.address === undefined ? literal : parseAddress(request.address);
  if (!address && (request.address !== undefined || literal)) return NO_ADDRESS;
  if (literal && literal.text !== address!.text) {
    return deny("builtin:host", "the request is for another address than the connection");
  }
  const pinned = request.names?.flatMap((each) => canonicalName(each) ?? []);
  if (name !== undefined && pinned && !pinned.includes(name)) {
    return deny("builtin:host", "the request is for a name that the address was not given out for");
  }
  // A name that nobody was asked for could be anybody's: only its own rules speak for it.
  const reached = literal || pinned ? address : undefined;
  const aims = (rule: NetworkRule, to: Address | undefined): boolean =>
    (name !== undefined && coversName(rule.destination, name)) ||
    (to !== undefined && coversAddress(rule.destination, to));

  const denied = policy.deny.find((rule) =>
    deniesProtocol(rule, scheme) && hasPort(rule.ports, port) && aims(rule, address) && mayHold(rule, request)
  );
  if (denied) return deny(denied.id, "the rule denies this request");
  const special = address && ofAddress(policy, address, (rule) => hasTransportPort(rule, "tcp", port));
  if (special) return special;
  const near = policy.allow.filter((rule) =>
    allowsProtocol(rule, scheme) && hasPort(rule.ports, port) && aims(rule, reached)
  );
  const holding = near.filter((rule) =>
    (scheme === "http" || rule.inspect || !isConditional(rule)) && surelyHolds(rule, request)
  );
  const denies = (): boolean =>
    policy.deny.some((rule) =>
      deniesProtocol(rule, scheme) && hasPort(rule.ports, port) && aims(rule, address)
    );
  const allowed = request.isWebSocket
    ? holding.find((rule) => rule.websocket ?? (isOpen(policy, rule) && !denies()))
    : holding[0];
  if (!allowed && holding[0]) {
    return deny(
      "builtin:upgrade",
      `${
        holding[0].id
      } allows the request, but not that it goes over to WebSocket, in which nobody looks: it takes websocket: true`,
    );
  }
  if (allowed) return allow(allowed.id, "the rule allows this request");
  const [closest] = near;
  return closest ? deny("default", `no rule allows this request; nearest is ${closest.id}`) : BY_DEFAULT;
}

/** Whether nothing of what a rule lets through is looked at more closely. */
function isOpen({ secrets, credentials }: NetworkPolicy, rule: NetworkRule): boolean {
  return !isConditional(rule) && !rule.inspect && credentials.length === 0 &&
    secrets.detectors.length === 0 &&
    Object.keys(secrets.patterns).length === 0;
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/;

const BY_DEFAULT = deny("default", "no rule allows it");
const NO_ADDRESS = deny("builtin:address", "it is no address");

/** Why an address is refused whatever leads to it. */
function ofAddress(
  policy: NetworkPolicy,
  address: Address,
  names: (rule: NetworkRule) => boolean,
): Verdict | undefined {
  const denying = policy.deny.find((rule) => deniesAll(rule) && coversAddress(rule.destination, address));
  if (denying) return deny(denying.id, "the rule denies this address");
  const special = specialRange(address);
  if (!special || namingRules(policy, address).some(names)) return;
  return deny(`builtin:${special.kind}`, `the address is ${special.kind}, and no rule names it`);
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65535;
}

function allow(rule: string, reason: string): Verdict {
  return { verdict: "allow", rule, reason };
}

function deny(rule: string, reason: string): Verdict {
  return { verdict: "deny", rule, reason };
}
