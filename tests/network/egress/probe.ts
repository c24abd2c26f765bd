import type { Attempt } from "../../helpers/proxy_world.ts";

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

/** Two servers outside. */
export const [FIRST, SECOND] = ["192.0.2.2", "198.51.100.2"] as const;

/** A request with the probe's mark in its path. */
export const get = (mark: string, host: string, more = ""): string =>
  `GET /${mark} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`;
/** The headers of a WebSocket. */
export const HANDSHAKE =
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/** An attempt in HTTP, at a server whose name is allowed. */
export const web = (send: string, more: Attempt = {}): Attempt => ({
  resolve: ["allowed.test"],
  to: [FIRST, 80],
  send: [send],
  ...more,
});
/** The same in TLS, which names this server. */
export const tls = (sni: string | undefined, send: string, more: Attempt = {}): Attempt => ({
  resolve: ["allowed.test", "inspected.test"],
  to: [FIRST, 443],
  tls: sni === undefined ? {} : { sni },
  send: [send],
  ...more,
});
/** The same in TLS that the proxy opens. */
export const opened = (send: string): Attempt => tls("inspected.test", send);

/** A probe, whose mark is made for it. */
export type Made = (mark: string) => Omit<Probe, "name">;
/** What a record says: a packet, or a rule. */
export const asPacket = /"kind":"packet"/;
export const by = (rule: string): RegExp => new RegExp(`"rule":"${rule}"`);

/** A name that is asked for: with the mark in it where it carries something out. */
export const named =
  (name: string, recorded: RegExp, more: Record<string, unknown> = {}): Made => (mark) => ({
    attempt: { dns: { name: name.replace("MARK", mark), ...more } },
    arrives: new RegExp(`"dns".*${name.replace("MARK", mark).replaceAll(".", "\\.")}`),
    recorded,
  });
/** A question for records of this type. */
export const typed = (type: number): Made => () => ({
  attempt: { dns: { name: "allowed.test", type } },
  arrives: new RegExp(`"dns".*"type":${type}\\b`),
  recorded: by("builtin:dns-type"),
});
/** What a name is resolved to, and a request to that. */
export const leading = (name: string, to: string, recorded: RegExp): Made => (mark) => ({
  attempt: { resolve: [name], to: [to, 80], send: [get(mark, name)] },
  recorded,
});
