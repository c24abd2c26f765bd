import { asPacket, by, FIRST, get, leading, type Made, named, SECOND, tls, typed } from "./probe.ts";

/** Ways out in names, addresses and other protocols. */
export const ADDRESSES: Readonly<Record<string, Made>> = {
  // Names
  "a name that no rule allows": named("denied.test", by("default")),
  "data in a name": named("MARK.denied.test", by("default")),
  "data below an allowed name": named("MARK.allowed.test", by("default")),
  "an allowed name with a suffix": named("allowed.test.denied.test", by("default")),
  "a record of the type TXT": typed(16),
  "a record of the type ANY": typed(255),
  "another name server": named("MARK.elsewhere.test", by("default"), { server: SECOND, tcp: true }),
  "names over TCP": named("MARK.over-tcp.test", by("default"), { tcp: true }),
  "data behind the question": (m) => ({
    attempt: { dns: { name: "allowed.test", extra: m } },
    recorded: by("builtin:dns-message"),
    noControl: "the servers outside do not write down what follows",
  }),
  "a label with a dot in it": (m) => ({
    attempt: { dns: { raw: `\x0c${m.padEnd(8, "x").slice(0, 8)}.x.y\x04test\x00` } },
    recorded: by("builtin:dns-message"),
    arrives: /"dns".*\.x\.y\.test/,
  }),
  "a label with NUL": (m) => ({
    attempt: { dns: { raw: `\x09${m.padEnd(8, "x").slice(0, 8)}\x00\x04test\x00` } },
    recorded: by("builtin:dns-message"),
    arrives: /"dns".*\\u0000/,
  }),
  "an update of names": (m) => ({
    attempt: { dns: { name: `${m}.test`, flags: 0x2800 } },
    recorded: by("builtin:dns-message"),
  }),
  // Addresses
  "an address that was not asked for": (m) => ({
    attempt: { to: [SECOND, 80], send: [get(m, "allowed.test")] },
    recorded: asPacket,
  }),
  "another port of an allowed name": (m) => ({
    attempt: { resolve: ["allowed.test"], to: [FIRST, 8080], send: [get(m, "allowed.test:8080")] },
    recorded: asPacket,
  }),
  "a name that leads to metadata": leading(
    "metadata.test",
    "169.254.169.254",
    /"rule":"builtin:[a-z-]+".*"metadata\.test"|"metadata\.test".*"rule":"builtin:/,
  ),
  "a name that leads to a private address": leading("private.test", "10.99.0.2", /"name":"private\.test"/),
  "a name that leads to both kinds": leading("mixed.test", "10.99.0.2", /"address":"10\.99\.0\.2"/),
  "a name that is mapped to metadata": () => ({
    attempt: { resolve: [], dns: { name: "mapped.test", type: 28 } },
    recorded: /mapped\.test/,
    noControl: "the kernel does not send to mapped addresses",
  }),
  "a name that leads to metadata by NAT64": () => ({
    attempt: { dns: { name: "nat64.test", type: 28 } },
    recorded: /nat64\.test/,
    noControl: "there is no NAT64 here",
  }),
  "a name that leads to multicast": () => ({
    attempt: { dns: { name: "multicast.test" } },
    recorded: /multicast\.test/,
    noControl: "nobody listens",
  }),
  "a name that leads to loopback": () => ({
    attempt: { dns: { name: "loopback.test" } },
    recorded: /loopback\.test/,
    noControl: "nobody listens",
  }),
  "a name that leads elsewhere the second time": (m) => ({
    attempt: {
      resolve: ["rebinding.test", "rebinding.test"],
      to: ["10.99.0.2", 80],
      send: [get(m, "rebinding.test")],
    },
    recorded: /"packet".*10\.99\.0\.2|10\.99\.0\.2.*"packet"/,
  }),
  "metadata by its address": (m) => ({
    attempt: { to: ["169.254.169.254", 80], send: [get(m, "169.254.169.254")] },
    recorded: asPacket,
  }),
  "metadata by an allowed Host": (m) => ({
    attempt: { to: ["169.254.169.254", 80], send: [get(m, "allowed.test")] },
    recorded: asPacket,
  }),
  "IPv6 that was not asked for": (m) => ({
    attempt: { to: ["2001:db8::53", 80], send: [get(m, "allowed.test")] },
    recorded: asPacket,
  }),
  "where a redirection leads": (m) => ({
    attempt: { to: [SECOND, 80], send: [get(`away-${m}`, "denied.test")] },
    recorded: asPacket,
  }),
  // Other protocols
  "a datagram": (m) => ({ attempt: { udp: [FIRST, 7777], send: [m] }, recorded: asPacket }),
  "QUIC": (m) => ({
    attempt: { resolve: ["allowed.test"], udp: [FIRST, 443], send: [m] },
    recorded: asPacket,
  }),
  "NTP": (m) => ({ attempt: { udp: [SECOND, 123], send: [m] }, recorded: asPacket }),
  "mDNS by a datagram": (m) => ({ attempt: { udp: [FIRST, 5353], send: [m] }, recorded: asPacket }),
  "a datagram over IPv6": (m) => ({ attempt: { udp: ["2001:db8::2", 7777], send: [m] }, recorded: asPacket }),
  "no DNS on the port of names": (m) => ({
    attempt: { udp: [SECOND, 53], send: [`${m}${"x".repeat(20)}`] },
    recorded: by("builtin:dns-message"),
    arrives: /bad-dns/,
  }),
  "DNS over TLS": (m) => ({
    attempt: { resolve: ["allowed.test"], to: [FIRST, 853], send: [m] },
    recorded: asPacket,
  }),
  "DNS over HTTPS": (m) => ({
    attempt: { ...tls("dns.test", get(`dns-query?${m}`, "dns.test")), to: [SECOND, 443] },
    recorded: asPacket,
  }),
  "SSH": (m) => ({ attempt: { resolve: ["allowed.test"], to: [FIRST, 22], send: [m] }, recorded: asPacket }),
  "mail": (m) => ({ attempt: { resolve: ["allowed.test"], to: [FIRST, 25], send: [m] }, recorded: asPacket }),
  "a proxy outside": (m) => ({
    attempt: { to: [SECOND, 3128], send: [`CONNECT denied.test:443 HTTP/1.1\r\nX-Mark: ${m}\r\n\r\n`] },
    recorded: asPacket,
  }),
  "ICMP": (m) => ({
    attempt: { raw: FIRST, protocol: 1, send: [m] },
    recorded: /"packet".*"icmp"|"icmp".*"packet"/,
    arrives: /never/,
    noControl: "the kernel answers, no server does",
  }),
  "a protocol without ports": (m) => ({
    attempt: { raw: FIRST, protocol: 253, send: [m] },
    recorded: /"ip-253"/,
    noControl: "no server takes it",
  }),
};
