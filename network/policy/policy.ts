/** What is spoken on a connection. `https` is TLS with the server's name in its first message; `tcp` and `udp` are not looked into. */
export const PROTOCOLS = ["http", "https", "tcp", "udp"] as const;
/** One of {@linkcode PROTOCOLS}. */
export type Protocol = (typeof PROTOCOLS)[number];

/** Ports from the first to the last; the same twice for one. */
export interface PortRange {
  /** The lowest one. */
  readonly first: number;
  /** The highest one, which belongs to it. */
  readonly last: number;
}

/** Where a rule leads: a name, every name below one, or addresses. */
export type Destination =
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "below"; readonly name: string }
  | { readonly kind: "addresses"; readonly cidr: string };

/** What a rule lets through, or keeps back. Everything that it says must hold. */
export interface NetworkRule {
  /** Names it in verdicts: `allow[0]` where the policy gives no name. */
  readonly id: string;
  /** Where it leads. */
  readonly destination: Destination;
  /** Any of these ports. */
  readonly ports: readonly PortRange[];
  /** Any of these protocols. */
  readonly protocols: readonly Protocol[];
  /** Of HTTP; empty for all. Without `inspect`, a rule that has any of these four does not let TLS through. */
  readonly methods: readonly string[];
  /** Patterns of paths in which `*` stands for anything but `/`, and `**` for anything; empty for all. */
  readonly paths: readonly string[];
  /** Names of headers, in lower case, with a pattern for each value. */
  readonly headers: Readonly<Record<string, string>>;
  /** Whether TLS is opened, so that the above, secrets and credentials apply to what is in it. */
  readonly inspect: boolean;
  /** Whether a request that it allows may go over to WebSocket, in which nobody looks; nothing for the usual. */
  readonly websocket?: boolean;
}

/** A secret that the sandbox never holds: the proxy puts it where the placeholder stands. */
export interface Credential {
  /** Names it. */
  readonly id: string;
  /** What the sandbox has instead. */
  readonly placeholder: string;
  /** The variable that has the placeholder, if one has. */
  readonly env: string | undefined;
  /** Where the secret comes from when the sandbox starts: a variable of the runtime's environment, or a file of the host. */
  readonly from: { readonly env: string } | { readonly file: string };
  /** Names that may receive it; a request with the placeholder to any other is refused. */
  readonly hosts: readonly string[];
  /** Headers in which it is replaced, in lower case. */
  readonly headers: readonly string[];
}

/** Built-in detectors of secrets; the proxy has their patterns. */
export const DETECTORS = [
  "aws",
  "github",
  "slack",
  "stripe",
  "google",
  "openai",
  "anthropic",
  "private-key",
  "jwt",
] as const;

/** What must not leave in the clear part of a request. */
export interface SecretRules {
  /** Built-in detectors that are on. */
  readonly detectors: readonly string[];
  /** Own patterns, as regular expressions by name. */
  readonly patterns: Readonly<Record<string, string>>;
}

/** The most that a sandbox may use. Those that are missing have no limit but the proxy's own. */
export interface NetworkLimits {
  /** How many at a time. */
  readonly connections?: number;
  /** Requests of HTTP. */
  readonly requestsPerMinute?: number;
  /** From the sandbox, in all. */
  readonly uploadBytes?: number;
  /** To the sandbox, in all. */
  readonly downloadBytes?: number;
  /** From the sandbox, at a time. */
  readonly uploadBytesPerSecond?: number;
  /** To the sandbox, at a time. */
  readonly downloadBytesPerSecond?: number;
}

/** What a sandbox reaches. What no rule allows is refused; `deny` decides before `allow`. */
export interface NetworkPolicy {
  /** What is let through. */
  readonly allow: readonly NetworkRule[];
  /** What is refused even if it is allowed. */
  readonly deny: readonly NetworkRule[];
  /** Secrets that the proxy puts in. */
  readonly credentials: readonly Credential[];
  /** What must not leave. */
  readonly secrets: SecretRules;
  /** How much may be used. */
  readonly limits: NetworkLimits;
  /** Name servers as `address` or `address:port`; empty for those of the host. */
  readonly nameServers: readonly string[];
}

/** What was decided, and by which rule. */
export interface Verdict {
  /** Whether it gets through. */
  readonly verdict: "allow" | "deny";
  /** The rule that decides; `default` where none does, `builtin:…` for what is refused whatever the rules say. */
  readonly rule: string;
  /** Why, for a person. */
  readonly reason: string;
}
