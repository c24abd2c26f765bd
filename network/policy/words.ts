/** Destinations as people write them: `host[:port[-port]][/protocol]`. */

import { cidrText, contains, parseCidr } from "./cidr.ts";
import { readName } from "./names.ts";
import { type Destination, type PortRange, type Protocol, PROTOCOLS } from "./policy.ts";
import { hasPort } from "./ports.ts";
import { MIXED_BLOCKS } from "./special.ts";

/** A part of a policy, or what is wrong with it. */
export type Read<T> = { readonly value: T; readonly flaw?: never } | {
  readonly value?: never;
  readonly flaw: string;
};

/** What a word says of a rule. */
export interface Word {
  readonly destination: Destination;
  readonly ports: readonly PortRange[] | undefined;
  readonly protocols: readonly Protocol[] | undefined;
}

/** Ports that a browser would take. */
const WEB_PORTS: readonly PortRange[] = [{ first: 443, last: 443 }, { first: 80, last: 80 }];

/** Reads a name, `*.name` for all below it, or `*` for all. */
export function readHost(text: string): Read<Destination> {
  if (text === "*") return { value: { kind: "below", name: "" } };
  const below = text.startsWith("*.");
  const { name, flaw } = readName(below ? text.slice(2) : text);
  return name === undefined ? { flaw } : { value: { kind: below ? "below" : "name", name } };
}

/** Reads an address or a block of addresses. */
export function readBlock(text: string): Read<Destination> {
  const block = parseCidr(text);
  if (!block) return { flaw: "it is no address, or no block of addresses whose other bits are zero" };
  const mixed = MIXED_BLOCKS.some((each) =>
    contains(each, { ...block, text }) && block.prefix >= each.prefix
  );
  if (mixed && block.value > 1n) {
    return { flaw: "IPv4 addresses inside of IPv6 addresses decide over them; write the IPv4 addresses" };
  }
  return { value: { kind: "addresses", cidr: cidrText(block) } };
}

/** Reads a port or `first-last`. */
export function readPorts(value: string | number): Read<PortRange> {
  const [, from, to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(String(value)) ?? [];
  const [first, last] = [Number(from), Number(to)];
  if (!(first >= 1 && last <= 65535 && first <= last)) {
    return { flaw: "a port from 1 to 65535 is needed, or two such as 8000-8080" };
  }
  return { value: { first, last } };
}

/** Reads `host[:port[-port]][/protocol]`; the host may be an address or a block, IPv6 with a port in brackets. */
export function readWord(text: string): Read<Word> {
  const [, host = "", rest = ""] =
    /^(\[[^\]]*\](?:\/\d+)?|[^:/]*(?:\/\d+)?|[^/]*:[^/]*:[^/]*(?:\/\d+)?)((?::[^:/]*)?(?:\/[a-z]*)?)$/
      .exec(text) ?? [];
  const [, port, protocol] = /^(?::([^/]*))?(?:\/(.*))?$/.exec(rest) ?? [];
  if (host === "") return { flaw: "write host, host:port or host:port/protocol" };
  const bare = host.replace(/^\[([^\]]*)\]/, "$1");
  const isBlock = bare.includes(":") || parseCidr(bare) !== undefined || bare.includes("/");
  const destination = isBlock ? readBlock(bare) : readHost(bare);
  if (destination.flaw !== undefined) return { flaw: destination.flaw };
  const ports = port === undefined ? undefined : readPorts(port);
  if (ports?.flaw !== undefined) return { flaw: ports.flaw };
  if (protocol !== undefined && !PROTOCOLS.includes(protocol as Protocol)) {
    return {
      flaw: `there is no protocol "${protocol.slice(0, 20)}": one of ${PROTOCOLS.join(", ")} is needed`,
    };
  }
  return {
    value: {
      destination: destination.value,
      ports: ports && [ports.value],
      protocols: protocol === undefined ? undefined : [protocol as Protocol],
    },
  };
}

/** The ports and protocols of a rule that allows, where it does not say both. */
export function allowedWays(
  ports: readonly PortRange[] | undefined,
  protocols: readonly Protocol[] | undefined,
  looksInside: boolean,
): Read<Pick<Word, "ports" | "protocols"> & { ports: readonly PortRange[]; protocols: readonly Protocol[] }> {
  if (ports && protocols) return { value: { ports, protocols } };
  if (protocols) {
    const web = protocols.map((each) => ({ https: 443, http: 80, tcp: 0, udp: 0 })[each]);
    if (web.includes(0)) return { flaw: "tcp and udp have no usual ports: name the ports" };
    return { value: { ports: web.map((port) => ({ first: port, last: port })), protocols } };
  }
  if (!ports) return { value: { ports: WEB_PORTS, protocols: ["https", "http"] } };
  const web = ports.map(({ first, last }) => first === last && hasPort(WEB_PORTS, first));
  if (looksInside || web.every(Boolean)) return { value: { ports, protocols: ["https", "http"] } };
  if (
    web.some(Boolean) ||
    ports.some(({ first, last }) => WEB_PORTS.some((each) => first <= each.first && each.last <= last))
  ) {
    return {
      flaw: "80 and 443 are for http and https, other ports for tcp: name the protocols, or write two rules",
    };
  }
  return { value: { ports, protocols: ["tcp"] } };
}
