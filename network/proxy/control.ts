import type { NetworkPolicy } from "../policy/policy.ts";

/**
 * What the proxy is told over its socket, one JSON object a line; each is answered by one {@linkcode ControlAnswer}. The
 * socket is in the directory of the network, which only its owner can enter.
 */
export type ControlRequest =
  /** `wasThere`: another proxy may have made pins for it. */
  | { readonly do: "add"; readonly sandbox: ProxiedSandbox; readonly wasThere?: boolean }
  | { readonly do: "update"; readonly id: string; readonly policy: NetworkPolicy }
  | { readonly do: "remove"; readonly id: string }
  | { readonly do: "status" };

/** A sandbox whose traffic the proxy decides over. */
export interface ProxiedSandbox {
  readonly id: string;
  /** Its addresses, by which its traffic is known: nobody else on the bridge can use them. */
  readonly ipv4: string;
  readonly ipv6: string | undefined;
  readonly policy: NetworkPolicy;
  /** Where its audit log is. */
  readonly audit: string;
  /** Secrets by the id of their credential. They are never written down. */
  readonly credentials: Readonly<Record<string, string>>;
}

/** Whether it was done. */
export type ControlAnswer =
  | {
    readonly ok: true;
    readonly status?: ProxyStatus;
    /**
     * Of `add` and `update` where a rule opens TLS: the PEM of the sandbox's own authority, which its programs have to
     * believe.
     */
    readonly certificate?: string;
  }
  | { readonly ok: false; readonly error: string };

/** What the proxy is doing. */
export interface ProxyStatus {
  readonly pid: number;
  readonly sandboxes: readonly string[];
  readonly connections: number;
  /** Where it listens on the bridge: TCP for redirected connections, UDP and TCP for names. */
  readonly tcpPort: number;
  readonly dnsPort: number;
  readonly residentBytes: number;
}
