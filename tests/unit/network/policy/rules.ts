import type { Destination, NetworkPolicy, NetworkRule } from "../../../../network/policy/policy.ts";

/** A rule as tests write it: what is left out does not narrow it. */
export type RuleLike = Partial<Omit<NetworkRule, "destination">> & { readonly to: string };

const WEB: NetworkRule["ports"] = [{ first: 80, last: 80 }, { first: 443, last: 443 }];

/** A policy of rules whose ids are their places. */
export function policyOf(allow: readonly RuleLike[], deny: readonly RuleLike[] = []): NetworkPolicy {
  const rules = (kind: string, list: readonly RuleLike[], rest: Partial<NetworkRule>): NetworkRule[] =>
    list.map(({ to, ...own }, index) => ({
      id: `${kind}[${index}]`,
      destination: destinationOf(to),
      ports: WEB,
      protocols: ["http", "https"],
      methods: [],
      paths: [],
      headers: {},
      inspect: false,
      ...rest,
      ...own,
    }));
  return {
    allow: rules("allow", allow, {}),
    deny: rules("deny", deny, {
      ports: [{ first: 1, last: 65535 }],
      protocols: ["http", "https", "tcp", "udp"],
    }),
    credentials: [],
    secrets: { detectors: [], patterns: {} },
    limits: {},
    nameServers: [],
  };
}

function destinationOf(to: string): Destination {
  if (/^[\d.:a-f]+(\/\d+)?$/.test(to)) return { kind: "addresses", cidr: to };
  if (to === "*") return { kind: "below", name: "" };
  return to.startsWith("*.") ? { kind: "below", name: to.slice(2) } : { kind: "name", name: to };
}
