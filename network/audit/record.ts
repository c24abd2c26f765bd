/** What an audit record is about. */
export const AUDIT_KINDS = ["dns", "connect", "request", "packet", "policy", "proxy"] as const;
/** One of {@linkcode AUDIT_KINDS}. */
export type AuditKind = (typeof AUDIT_KINDS)[number];

/** One attempt of a sandbox, as it is handed to the log; what is not known is left out. */
export interface AuditEntry {
  /** Whose attempt it was. */
  readonly sandbox: string;
  /** What was attempted. */
  readonly kind: AuditKind;
  /** What was decided. */
  readonly verdict: "allow" | "deny";
  /** The rule that decided. */
  readonly rule: string;
  /** Why, for a person. */
  readonly reason?: string;
  /** The name it was about. */
  readonly name?: string;
  /** Where it led. */
  readonly address?: string;
  /** The port there. */
  readonly port?: number;
  /** What was spoken. */
  readonly protocol?: string;
  /** Of a request. */
  readonly method?: string;
  /** Without its query, in which secrets may stand. */
  readonly path?: string;
  /** Of the answer. */
  readonly status?: number;
  /** From the sandbox. */
  readonly uploadBytes?: number;
  /** To the sandbox. */
  readonly downloadBytes?: number;
  /** From its beginning to its end. */
  readonly durationMs?: number;
  /** By which it is known elsewhere, too. */
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
