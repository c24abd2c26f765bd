/** What would be decided over a request, without making it. */

import { UsageError } from "../../runtime/errors.ts";
import { quote } from "../../runtime/spec/problems.ts";
import { decideConnection, decideName, decideRequest, permittedAddresses } from "./decide.ts";
import { literalAddress } from "./names.ts";
import { type NetworkPolicy, type Protocol, PROTOCOLS, type Verdict } from "./policy.ts";

/** Options of {@linkcode tryUrl}. */
export interface TrialOptions {
  /** Of the request. @default "GET" */
  readonly method?: string;
  /** Of the request: names and values. */
  readonly headers?: readonly (readonly [string, string])[];
  /** What the name is resolved to; without it, rules about addresses are left out. */
  readonly address?: string;
}

/** What is decided over a request. */
export interface Trial extends Verdict {
  /** As it was given. */
  readonly url: string;
  /** What decides: the name before it is resolved, its address, the connection, or the request itself. */
  readonly decidedAt: "name" | "address" | "connection" | "request";
  /** Whether TLS is opened. */
  readonly inspect: boolean;
}

/** Schemes beside those of protocols: requests that ask to go over to WebSocket. */
const WEBSOCKET: Readonly<Record<string, Protocol>> = { ws: "http", wss: "https" };
const USUAL_PORTS: Partial<Record<Protocol, number>> = { http: 80, https: 443 };

/**
 * Decides over a URL as the resolver and the proxy would, one after the other. Beside http and https there are ws and
 * wss, `tcp://host:port` and `udp://host:port`.
 *
 * @throws {UsageError} If it is no such URL.
 */
export function tryUrl(policy: NetworkPolicy, url: string, options: TrialOptions = {}): Trial {
  const { protocol, host, port, path, isWebSocket } = partsOf(url);
  const literal = literalAddress(host);
  const address = literal?.text ?? options.address;
  const done = (decidedAt: Trial["decidedAt"], verdict: Verdict, inspect = false): Trial => ({
    url,
    verdict: verdict.verdict,
    rule: verdict.rule,
    reason: verdict.reason,
    decidedAt,
    inspect,
  });
  if (!literal) {
    const named = decideName(policy, host);
    if (named.verdict === "deny") return done("name", named);
    const [refused] = address === undefined ? [] : permittedAddresses(policy, host, [address]).refused;
    if (refused) return done("address", refused);
  }
  const names = literal ? [] : [host];
  const connected = decideConnection(policy, { names, address, port, protocol });
  const { verdict, inspect } = connected;
  const seen = protocol === "http" || (protocol === "https" && inspect);
  if (verdict === "deny" || !seen) return done("connection", connected);
  const { method = "GET", headers = [] } = options;
  const request = { scheme: protocol, name: host, port, method, path, headers, names, isWebSocket } as const;
  return done(
    "request",
    decideRequest(policy, address === undefined ? request : { ...request, address }),
    inspect,
  );
}

/** Taken apart without mending anything: the proxy would see it as it is written. */
function partsOf(
  url: string,
): { protocol: Protocol; host: string; port: number; path: string; isWebSocket: boolean } {
  const [, scheme = "", authority = "", rest = ""] =
    /^([A-Za-z]+):\/\/([^/?#]*)([^#]*)(?:#.*)?$/s.exec(url) ?? [];
  const over = WEBSOCKET[scheme.toLowerCase()];
  const protocol = over ?? PROTOCOLS.find((each) => each === scheme.toLowerCase());
  const [, host = "", digits] = /^(\[[^\]]*\]|[^:@]*)(?::(\d{1,5}))?$/.exec(authority) ?? [];
  const port = digits === undefined ? protocol && USUAL_PORTS[protocol] : Number(digits);
  if (!protocol || host === "" || port === undefined) {
    throw new UsageError(
      `Cannot try ${
        quote(url)
      }: write http://host/path, https://host/path, ws://, wss://, tcp://host:port or udp://host:port`,
    );
  }
  const path = rest.startsWith("/") ? rest : `/${rest}`;
  return { protocol, host, port, path, isWebSocket: over !== undefined };
}
