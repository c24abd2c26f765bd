import { asPacket, by, FIRST, get, type Made, opened, SECOND, tls, web } from "./probe.ts";

/** Ways out in TLS, opened or not, and what secrets and credentials could leave by. */
export const TLS: Readonly<Record<string, Made>> = {
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
};
