/** What an audit record is about. */
export const AUDIT_KINDS = ["dns", "connect", "request", "packet", "policy", "proxy"] as const;
/** One of {@linkcode AUDIT_KINDS}. */
export type AuditKind = (typeof AUDIT_KINDS)[number];

/** One attempt of a sandbox, as it is handed to the log; what is not known is left out. */
export interface AuditEntry {
  readonly sandbox: string;
  readonly kind: AuditKind;
  readonly verdict: "allow" | "deny";
  readonly rule: string;
  readonly reason?: string;
  readonly name?: string;
  readonly address?: string;
  readonly port?: number;
  readonly protocol?: string;
  readonly method?: string;
  /** Without its query, in which secrets may stand. */
  readonly path?: string;
  readonly status?: number;
  readonly uploadBytes?: number;
  readonly downloadBytes?: number;
  readonly durationMs?: number;
  readonly traceId?: string;
  /** How many alike this one stands for, where a flood was folded. */
  readonly count?: number;
}

/** A line of the log. */
export interface AuditRecord extends AuditEntry {
  /** From 1, without gaps. */
  readonly sequence: number;
  /** When it was written, in ISO 8601, UTC. */
  readonly time: string;
  /** The hash of the record before; 64 zeros for the first. */
  readonly previous: string;
  /** SHA-256 in hex over this line without `hash`, as it is written. */
  readonly hash: string;
}
