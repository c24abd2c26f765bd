import type { Attempt } from "../helpers/proxy_world.ts";

/** One way to get out, with a word that only it says. */
export interface Probe {
  readonly name: string;
  readonly attempt: Attempt;
  /** What arrives outside if it gets through: by default anything with its mark. */
  readonly arrives?: RegExp;
  /** What its record says; a packet that is told of as `packet`, or a rule. */
  readonly recorded: RegExp;
  /** Why it cannot be shown to get through where nothing defends. */
  readonly noControl?: string;
}

const [FIRST, SECOND] = ["192.0.2.2", "198.51.100.2"];

/** A request with the probe's mark in its path. */
const get = (mark: string, host: string, more = ""): string =>
  `GET /${mark} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`;
const HANDSHAKE =
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const web = (send: string, more: Attempt = {}): Attempt => ({
  resolve: ["allowed.test"],
  to: [FIRST, 80],
  send: [send],
  ...more,
});
const tls = (sni: string | undefined, send: string, more: Attempt = {}): Attempt => ({
  resolve: ["allowed.test", "inspected.test"],
  to: [FIRST, 443],
  tls: sni === undefined ? {} : { sni },
  send: [send],
  ...more,
});
const opened = (send: string): Attempt => tls("inspected.test", send);

type Made = (mark: string) => Omit<Probe, "name">;
const asPacket = /"kind":"packet"/;
const by = (rule: string): RegExp => new RegExp(`"rule":"${rule}"`);

/** A name that is asked for: with the mark in it where it carries something out. */
const named = (name: string, recorded: RegExp, more: Record<string, unknown> = {}): Made => (mark) => ({
  attempt: { dns: { name: name.replace("MARK", mark), ...more } },
  arrives: new RegExp(`"dns".*${name.replace("MARK", mark).replaceAll(".", "\\.")}`),
  recorded,
});
/** A question for records of this type. */
const typed = (type: number): Made => () => ({
  attempt: { dns: { name: "allowed.test", type } },
  arrives: new RegExp(`"dns".*"type":${type}\\b`),
  recorded: by("builtin:dns-type"),
});
/** What a name is resolved to, and a request to that. */
const leading = (name: string, to: string, recorded: RegExp): Made => (mark) => ({
  attempt: { resolve: [name], to: [to, 80], send: [get(mark, name)] },
  recorded,
});

/** Every attack, by what it does. The policy is that of tests/network/egress_test.ts. */
const ATTACKS: Readonly<Record<string, Made>> = {
  // Hosts
  "Host of another name": (m) => ({ attempt: web(get(m, "denied.test")), recorded: by("builtin:host") }),
  "Host of another name on the second request": (m) => ({
    attempt: web(get("first", "allowed.test") + get(m, "denied.test")),
    recorded: by("builtin:host"),
  }),
  "Host of a name that is allowed elsewhere": (m) => ({
    attempt: web(get(m, "inspected.test")),
    recorded: /"deny"/,
  }),
  "Host with another port": (m) => ({
    attempt: web(get(m, "allowed.test:8080")),
    recorded: by("builtin:host"),
  }),
  "Host with a dot at its end": (m) => ({ attempt: web(get(m, "allowed.test.")), recorded: by("http:host") }),
  "Host with user information": (m) => ({
    attempt: web(get(m, "allowed.test@denied.test")),
    recorded: by("http:host"),
  }),
  "Host with NUL": (m) => ({
    attempt: web(get(m, "allowed.test\0.denied.test")),
    recorded: by("http:control"),
  }),
  "Host is the address": (m) => ({ attempt: web(get(m, FIRST)), recorded: by("default") }),
  "Host is the address as one number": (m) => ({
    attempt: web(get(m, "3221225986")),
    recorded: by("builtin:host"),
  }),
  "Host is the address in octal": (m) => ({
    attempt: web(get(m, "0300.0.02.02")),
    recorded: by("builtin:host"),
  }),
  "Host is the address in hexadecimal": (m) => ({
    attempt: web(get(m, "0xc0000202")),
    recorded: by("builtin:host"),
  }),
  "Host is the address in IPv6": (m) => ({
    attempt: web(get(m, "[::ffff:192.0.2.2]")),
    recorded: by("builtin:host"),
  }),
  "Host with an escape": (m) => ({ attempt: web(get(m, "allowed%2etest")), recorded: by("http:host") }),
  "no Host": (m) => ({ attempt: web(`GET /${m} HTTP/1.1\r\n\r\n`), recorded: by("http:host") }),
  "no Host in HTTP/1.0": (m) => ({ attempt: web(`GET /${m} HTTP/1.0\r\n\r\n`), recorded: by("http:host") }),
  "two Hosts": (m) => ({
    attempt: web(get(m, "allowed.test", "Host: denied.test\r\n")),
    recorded: by("http:host"),
  }),
  "Host that is folded": (m) => ({
    attempt: web(`GET /${m} HTTP/1.1\r\nHost: allowed.test\r\n denied.test\r\n\r\n`),
    recorded: by("http:folded"),
  }),
  "Host with a space before its colon": (m) => ({
    attempt: web(get(m, "allowed.test", "Host : denied.test\r\n")),
    recorded: by("http:header-name"),
  }),
  "Host taken out by Connection": (m) => ({
    attempt: web(get(m, "allowed.test", "Connection: close, Host\r\n")),
    recorded: by("http:connection"),
  }),
  // Request lines
  "absolute form of another host": (m) => ({
    attempt: web(`GET http://denied.test/${m} HTTP/1.1\r\nHost: allowed.test\r\n\r\n`),
    recorded: by("http:absolute-form"),
  }),
  "absolute form with user information": (m) => ({
    attempt: web(`GET http://allowed.test@denied.test/${m} HTTP/1.1\r\nHost: allowed.test\r\n\r\n`),
    recorded: by("http:absolute-form"),
  }),
  "CONNECT": (m) => ({
    attempt: web(`CONNECT ${SECOND}:443 HTTP/1.1\r\nHost: ${SECOND}:443\r\nX-Mark: ${m}\r\n\r\n`),
    recorded: by("http:connect"),
  }),
  "CONNECT to the allowed host": (m) => ({
    attempt: web(`CONNECT allowed.test:22 HTTP/1.1\r\nHost: allowed.test\r\nX-Mark: ${m}\r\n\r\n`),
    recorded: by("http:connect"),
  }),
  "a method that no rule allows": (m) => ({
    attempt: web(`POST /${m} HTTP/1.1\r\nHost: limited.test\r\nContent-Length: 0\r\n\r\n`, {
      resolve: ["also.test"],
    }),
    recorded: by("builtin:host"),
  }),
  "a method outside of its rule": (m) => ({
    attempt: {
      resolve: ["also.test"],
      to: [FIRST, 80],
      send: [`DELETE /public/${m} HTTP/1.1\r\nHost: also.test\r\n\r\n`],
    },
    recorded: by("default"),
  }),
  "a path outside of its rule": (m) => ({
    attempt: { resolve: ["also.test"], to: [FIRST, 80], send: [get(`private/${m}`, "also.test")] },
    recorded: by("default"),
  }),
  "a path with dots in it": (m) => ({
    attempt: { resolve: ["also.test"], to: [FIRST, 80], send: [get(`public/../private/${m}`, "also.test")] },
    recorded: by("default"),
  }),
  "a path with escaped dots": (m) => ({
    attempt: {
      resolve: ["also.test"],
      to: [FIRST, 80],
      send: [get(`public/%2e%2e/private/${m}`, "also.test")],
    },
    recorded: by("default"),
  }),
  "a target with a control character": (m) => ({
    attempt: web(`GET /a\x01${m} HTTP/1.1\r\nHost: allowed.test\r\n\r\n`),
    recorded: by("http:control"),
  }),
  "HTTP/0.9": (m) => ({ attempt: web(`GET /${m}\r\n\r\n`), recorded: by("http:request-line") }),
  // Smuggling: what a server takes for a second request
  "two lengths": (m) => ({
    attempt: web(
      `POST /x HTTP/1.1\r\nHost: allowed.test\r\nContent-Length: 0\r\nContent-Length: 60\r\n\r\n${
        get(m, "denied.test")
      }`,
    ),
    recorded: by("http:framing"),
  }),
  "a length and chunks": (m) => ({
    attempt: web(
      `POST /x HTTP/1.1\r\nHost: allowed.test\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${
        get(m, "denied.test")
      }`,
    ),
    recorded: by("http:framing"),
  }),
  "chunks by an odd name": (m) => ({
    attempt: web(
      `POST /x HTTP/1.1\r\nHost: allowed.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${
        get(m, "denied.test")
      }`,
    ),
    recorded: by("http:framing"),
  }),
  "chunks twice": (m) => ({
    attempt: web(
      `POST /x HTTP/1.1\r\nHost: allowed.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n${
        get(m, "denied.test")
      }`,
    ),
    recorded: by("http:framing"),
  }),
  "Transfer-Encoding with a vertical tab": (m) => ({
    attempt: web(
      `POST /x HTTP/1.1\r\nHost: allowed.test\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n${
        get(m, "denied.test")
      }`,
    ),
    recorded: by("http:control"),
  }),
  "Transfer_Encoding": (m) => ({
    attempt: web(
      `POST /x HTTP/1.1\r\nHost: allowed.test\r\nTransfer_Encoding: chunked\r\n\r\n0\r\n\r\n${
        get(m, "denied.test")
      }`,
    ),
    recorded: by("http:header-name"),
  }),
  "a length with a plus": (m) => ({
    attempt: web(
      `POST /x HTTP/1.1\r\nHost: allowed.test\r\nContent-Length: +0\r\n\r\n${get(m, "denied.test")}`,
    ),
    recorded: by("http:framing"),
  }),
  "a chunk with an extension": (m) => ({
    attempt: web(
      `POST /x HTTP/1.1\r\nHost: allowed.test\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nb\r\nx\r\n0\r\n\r\n${
        get(m, "denied.test")
      }`,
    ),
    recorded: by("http:body"),
  }),
  "a chunk that is longer than it says": (m) => ({
    attempt: web(
      `POST /x HTTP/1.1\r\nHost: allowed.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n${
        get(m, "denied.test")
      }`,
    ),
    recorded: by("http:body"),
  }),
  "bare line feeds": (m) => ({
    attempt: web(`GET /x HTTP/1.1\nHost: allowed.test\n\n${get(m, "denied.test")}`),
    recorded: by("http:bare-lf"),
  }),
  "a header ended by a bare line feed": (m) => ({
    attempt: web(
      `GET /x HTTP/1.1\r\nHost: allowed.test\r\nX: a\n\nGET /${m} HTTP/1.1\nHost: denied.test\r\n\r\n`,
    ),
    recorded: by("http:bare-lf"),
  }),
  "a bare carriage return": (m) => ({
    attempt: web(`GET /${m} HTTP/1.1\r\nHost: allowed.test\r\nX: a\rHost: denied.test\r\n\r\n`),
    recorded: by("http:bare-cr"),
  }),
  "Upgrade to WebSocket": (m) => ({
    attempt: web(get(m, "allowed.test", "Connection: Upgrade\r\nUpgrade: websocket\r\n")),
    recorded: by("builtin:upgrade"),
  }),
  "Upgrade to WebSocket on a path of a rule for GET": (m) => ({
    attempt: { resolve: ["also.test"], to: [FIRST, 80], send: [get(`public/${m}`, "also.test", HANDSHAKE)] },
    recorded: by("builtin:upgrade"),
  }),
  "a request behind one for WebSocket": (m) => ({
    attempt: {
      resolve: ["second.test"],
      to: [SECOND, 80],
      send: [get("first", "second.test", HANDSHAKE) + get(m, "denied.test")],
    },
    recorded: by("http:upgrade"),
  }),
  "WebSocket with a body": (m) => ({
    attempt: {
      resolve: ["second.test"],
      to: [SECOND, 80],
      send: [get(m, "second.test", `${HANDSHAKE}Content-Length: 5\r\n`) + "12345"],
    },
    recorded: by("http:upgrade"),
  }),
  "HTTP/2 in clear with another protocol inside": (m) => ({
    attempt: web(`PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n${get(m, "denied.test")}`),
    recorded: /"deny"/,
  }),
  "no HTTP on a port of HTTP": (m) => ({ attempt: web(`\x00\x01${m}`), recorded: by("default") }),
  "SSH on a port of HTTP": (m) => ({ attempt: web(`SSH-2.0-${m}\r\n`), recorded: by("http:head") }),
  // TLS
  "SNI of another name": (m) => ({
    attempt: tls("denied.test", get(m, "denied.test")),
    recorded: by("builtin:sni"),
  }),
  "SNI of a name on another port": (m) => ({
    attempt: { ...tls("also.test", get(m, "also.test")), resolve: ["allowed.test"] },
    recorded: by("builtin:sni"),
  }),
  "no SNI": (m) => ({ attempt: tls(undefined, get(m, "allowed.test")), recorded: by("tls:no-sni") }),
  "TLS on a port of HTTP": (m) => ({
    attempt: {
      resolve: ["allowed.test"],
      to: [FIRST, 8443],
      tls: { sni: "allowed.test" },
      send: [get(m, "allowed.test")],
    },
    recorded: asPacket,
  }),
  "clear HTTP on a port of TLS": (m) => ({
    attempt: { resolve: ["allowed.test"], to: [FIRST, 443], send: [get(m, "allowed.test")] },
    recorded: /"deny"/,
    arrives: /tls-failed/,
  }),
  "something else in a record of TLS": (m) => ({
    attempt: {
      resolve: ["allowed.test"],
      to: [FIRST, 443],
      send: [`\x16\x03\x01\x00\x20${m}${"x".repeat(20)}`],
    },
    recorded: by("tls:hello"),
    arrives: /tls-failed/,
  }),
  "domain fronting in TLS that is opened": (m) => ({
    attempt: opened(get(m, "denied.test")),
    recorded: by("builtin:host"),
  }),
  "domain fronting on the second request": (m) => ({
    attempt: opened(get("first", "inspected.test") + get(m, "allowed.test")),
    recorded: by("builtin:host"),
  }),
  "smuggling in TLS that is opened": (m) => ({
    attempt: opened(
      `POST /x HTTP/1.1\r\nHost: inspected.test\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n${
        get(m, "denied.test")
      }`,
    ),
    recorded: by("http:framing"),
  }),
  "CONNECT in TLS that is opened": (m) => ({
    attempt: opened(`CONNECT ${SECOND}:443 HTTP/1.1\r\nHost: ${SECOND}:443\r\nX-Mark: ${m}\r\n\r\n`),
    recorded: by("http:connect"),
  }),
  // Secrets
  "a key in a path": (m) => ({
    attempt: opened(get(`${m}?k=AKIAIOSFODNN7EXAMPLE`, "inspected.test")),
    recorded: by("secret:aws"),
  }),
  "a key in a path without a query": (m) => ({
    attempt: opened(get(`${m}/AKIAIOSFODNN7EXAMPLE`, "inspected.test")),
    recorded: by("secret:aws"),
  }),
  "a key that is escaped": (m) => ({
    attempt: opened(get(`${m}?k=%41KIAIOSFODNN7EXAMPLE`, "inspected.test")),
    recorded: by("secret:aws"),
  }),
  "a token in a header": (m) => ({
    attempt: opened(get(m, "inspected.test", `X-A: ghp_${"a1B2".repeat(9)}\r\n`)),
    recorded: by("secret:github"),
  }),
  "a token in Basic": (m) => ({
    attempt: opened(
      get(m, "inspected.test", `Authorization: Basic ${btoa(`a:ghp_${"a1B2".repeat(9)}`)}\r\n`),
    ),
    recorded: by("secret:github"),
  }),
  "a key in a body, in two pieces": (m) => ({
    attempt: {
      ...opened(""),
      send: [
        `POST /x HTTP/1.1\r\nHost: inspected.test\r\nContent-Length: ${m.length + 21}\r\n\r\n${m} AKIAIOSF`,
        "ODNN7EXAMPLE",
      ],
    },
    recorded: by("secret:aws"),
  }),
  "a key in a body, in two chunks": (m) => ({
    attempt: {
      ...opened(""),
      send: [
        `POST /x HTTP/1.1\r\nHost: inspected.test\r\nTransfer-Encoding: chunked\r\n\r\n${
          (m.length + 9).toString(16)
        }\r\n${m} AKIAIOSF\r\n`,
        "c\r\nODNN7EXAMPLE\r\n0\r\n\r\n",
      ],
    },
    recorded: by("secret:aws"),
  }),
  "a private key in a body": (m) => {
    const body = `${m}-----BEGIN OPENSSH PRIVATE KEY-----`;
    return {
      attempt: opened(
        `POST /x HTTP/1.1\r\nHost: inspected.test\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      ),
      recorded: by("secret:private-key"),
    };
  },
  "a packed body": (m) => ({
    attempt: opened(
      `POST /${m} HTTP/1.1\r\nHost: inspected.test\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc`,
    ),
    recorded: by("secret:encoded"),
  }),
  "a placeholder to another host": (m) => ({
    attempt: web(get(m, "allowed.test", "Authorization: Bearer placeholder-1\r\n")),
    recorded: by("credential:token"),
  }),
  "a placeholder in another header": (m) => ({
    attempt: opened(get(m, "inspected.test", "X-Other: placeholder-1\r\n")),
    recorded: by("credential:token"),
  }),
  "the secret of a credential": (m) => ({
    attempt: opened(get(m, "inspected.test", "X-Other: the-real-secret\r\n")),
    recorded: by("credential:token"),
  }),
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

/** All attacks, each with a mark of its own. */
export function probes(): Probe[] {
  return Object.entries(ATTACKS).map(([name, made], index) => {
    const mark = `mark${index}z`;
    return { name, arrives: new RegExp(mark), ...made(mark) };
  });
}
