import { by, FIRST, get, HANDSHAKE, type Made, SECOND, web } from "./probe.ts";

/** Ways out in requests of HTTP: hosts, request lines, and what a server takes for a second request. */
export const REQUESTS: Readonly<Record<string, Made>> = {
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
};
