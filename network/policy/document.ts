/** From a policy back to a document. */

import type { Destination, NetworkPolicy, NetworkRule } from "./policy.ts";

/** The document that a policy could have been read from. */
export function policyDocument(policy: NetworkPolicy): Record<string, unknown> {
  const { allow, deny, credentials, secrets, limits, nameServers } = policy;
  return {
    allow: allow.map(ruleDocument),
    deny: deny.map(ruleDocument),
    credentials: credentials.map(defined),
    secrets,
    limits: defined(limits),
    nameServers,
  };
}

/** Whether a value is a policy and no document. */
export function isPolicy(value: unknown): value is NetworkPolicy {
  if (typeof value !== "object" || value === null) return false;
  const { allow, deny, credentials, nameServers } = value as Partial<NetworkPolicy>;
  return [allow, deny, credentials, nameServers].every(Array.isArray) &&
    [...allow!, ...deny!].every((rule) =>
      typeof rule?.destination?.kind === "string" && Array.isArray(rule.ports)
    );
}

function ruleDocument(
  { destination, ports, headers, inspect, ...rule }: NetworkRule,
): Record<string, unknown> {
  const lists = Object.entries(rule).filter(([, value]) => !Array.isArray(value) || value.length > 0);
  return {
    ...Object.fromEntries(lists),
    ...where(destination),
    ports: ports.map(({ first, last }) => first === last ? first : `${first}-${last}`),
    headers,
    ...(inspect ? { inspect } : {}),
  };
}

function where(to: Destination): Record<string, string> {
  switch (to.kind) {
    case "name":
      return { host: to.name };
    case "below":
      return { host: to.name === "" ? "*" : `*.${to.name}` };
    case "addresses":
      return { cidr: to.cidr };
    default:
      throw new TypeError(`There is no such destination: ${JSON.stringify(to satisfies never)}`);
  }
}

function defined(value: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined));
}
